package tap

// A queue of a tap that somebody else has opened.

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"passt/link"
)

// ErrNoTap says that a descriptor is no queue of a tap or tun interface at all.
var ErrNoTap = errors.New("is no tap")

// Identify says what the queue fd of a tap can do, as far as its owner has decided: which
// virtio header it has, but not yet which offloads; see SetOffload. It must have been made
// with IFF_NO_PI, which can't be seen from here: the kernel reports that bit for every tap
// without a filter (IFF_NOFILTER is the same bit).
func Identify(fd int) (f Features, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return f, err
	}
	switch err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); {
	case errors.Is(err, unix.EBADFD):
		return f, errors.New("is /dev/net/tun without an interface; make a tap with it first (TUNSETIFF)")
	case err != nil:
		return f, ErrNoTap
	}
	flags := ifr.Uint16()
	switch {
	case flags&unix.IFF_TAP == 0:
		return f, fmt.Errorf("is the tun interface %s, without Ethernet; give a tap", ifr.Name())
	case flags&unix.IFF_VNET_HDR == 0:
		return f, nil
	}
	if f.VnetHdr, err = unix.IoctlGetInt(fd, unix.TUNGETVNETHDRSZ); err != nil {
		return f, fmt.Errorf("is the tap %s, whose virtio header's length is unknown: %w", ifr.Name(), err)
	}
	return f, nil
}

// SetOffload takes over the queue fd, which has the features f by Identify: it sets the
// header's length and asks for the most offloads that the kernel grants, which it returns.
// A queue without headers has none.
func SetOffload(fd int, f *Features) link.Offload {
	if f.VnetHdr == 0 {
		return 0
	}
	if unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHdrLen) == nil {
		f.VnetHdr = vnetHdrLen
	}
	return setOffload(fd)
}
