package tap

// Making a tap interface (Documentation/networking/tuntap.rst of Linux).
//
// A descriptor of /dev/net/tun becomes a queue of an interface by TUNSETIFF, in the
// network namespace that the calling thread is in when it opens the device, and stays one
// wherever the descriptor goes. The interface lives as long as it has a queue.
//
// TUNSETOFFLOAD says what user space can take in the frames that it reads. What it may
// leave undone in frames that it writes is up to the kernel, and the same for each bit:
// the kernel that can hand out a kind of super-frame can also take it.

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"passt/link"
)

// MaxMTU is the largest MTU that the kernel lets a tap have, in bytes.
const MaxMTU = 65521

// Features is what a tap turned out to be able to do.
type Features struct {
	VnetHdr int // bytes of virtio-net header before each frame: 10, or 0 for none
	Offload link.Offload
}

// vnetHdrLen is the short form of the header. The long one, of 12 bytes, adds a count of
// merged buffers that only a virtio ring has a use for, and would spoil the alignment: 10
// and an Ethernet header of 14 put the IP header on a multiple of 8.
const vnetHdrLen = 10

// device is the file that taps are made with.
const device = "/dev/net/tun"

// offloadSteps are sets of offloads, best first. The kernel refuses a set that has a bit it
// doesn't know: USO came with Linux 6.2, and only for both IP versions at once.
var offloadSteps = []struct {
	flags   int
	offload link.Offload
}{
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN | unix.TUN_F_USO4 | unix.TUN_F_USO6,
		link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6 | link.OffloadUSO4 | link.OffloadUSO6},
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN,
		link.OffloadCsum | link.OffloadTSO4 | link.OffloadTSO6},
	{unix.TUN_F_CSUM, link.OffloadCsum},
}

// Create makes a tap interface in the calling thread's network namespace and opens queues
// descriptors of it, non-blocking and close-on-exec, which belong to the caller. An empty
// name leaves the choice to the kernel; the name that the interface got is returned.
// Nothing is left behind on an error, which says what the user can do about it.
func Create(name string, queues int) (fds []int, f Features, gotName string, err error) {
	if err := checkName(name); err != nil {
		return nil, f, "", err
	}
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			fds = nil
		}
	}()
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for len(fds) < max(queues, 1) {
		fd, err := open(device)
		if err != nil {
			return fds, f, "", err
		}
		fds = append(fds, fd)
		name, err = attach(fd, name, flags)
		if errors.Is(err, unix.EINVAL) && len(fds) == 1 { // a kernel without virtio headers
			flags &^= unix.IFF_VNET_HDR
			name, err = attach(fd, name, flags)
		}
		if err != nil {
			return fds, f, "", attachError(name, err)
		}
		if len(fds) == 1 && flags&unix.IFF_VNET_HDR != 0 {
			if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHdrLen); err != nil {
				return fds, f, "", fmt.Errorf("setting the virtio header's length on %s: %w", name, err)
			}
			f = Features{VnetHdr: vnetHdrLen, Offload: setOffload(fd)}
		}
	}
	return fds, f, name, nil
}

// checkName says whether the kernel could give an interface this name (netdevice(7)).
func checkName(name string) error {
	if len(name) >= unix.IFNAMSIZ || name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00") {
		return fmt.Errorf("interface name %q: want 1 to %d characters, and no blank, slash, colon or percent sign", name, unix.IFNAMSIZ-1)
	}
	return nil
}

// open opens the tun device at path.
func open(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fmt.Errorf("opening %s: %w: the kernel has no tun driver loaded; as root: modprobe tun", path, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return -1, fmt.Errorf("opening %s: %w; as root: chmod 0666 %s", path, err, path)
	}
	return -1, fmt.Errorf("opening %s: %w", path, err)
}

// attach makes fd a queue of the interface name and returns the interface's name, the one
// it was given if there is an error.
func attach(fd int, name string, flags uint16) (string, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return name, err
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return name, err
	}
	return ifr.Name(), nil
}

func attachError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("creating tap interface %s: %w: it exists and is in use; choose another name with -I", name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("creating tap interface %s: %w: another kind of interface may have this name; choose another with -I", name, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("creating tap interface %s: %w: this needs CAP_NET_ADMIN in the network namespace's own user namespace; give that with --userns", name, err)
	}
	return fmt.Errorf("creating tap interface %s: %w", name, err)
}

// setOffload asks for the most offloads that the kernel grants and returns them.
func setOffload(fd int) link.Offload {
	for _, s := range offloadSteps {
		if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, s.flags) == nil {
			return s.offload
		}
	}
	return 0
}
