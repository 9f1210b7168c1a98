package world

import (
	"os"
	"time"
)

// Delay in user space, as kernels without netem need it: two tap devices, one in P and one
// in F, and a goroutine for each direction that carries every frame over after a while.
// Both have virtio headers, so that segmentation and checksums may stay undone.

// connectFar joins P and F with a delay each way.
func connectFar(delay time.Duration) error {
	a, err := OpenTap(Peer, "far0", true)
	if err != nil {
		return err
	}
	b, err := OpenTap(Far, "eth0", true)
	if err != nil {
		return err
	}
	if err := Batch(Peer,
		"addr add 203.0.113.1/24 dev far0",
		"addr add 2001:db8:f::1/64 dev far0 nodad",
		"link set far0 txqueuelen 5000 up",
	); err != nil {
		return err
	}
	if err := Batch(Far,
		"addr add "+FarV4+"/24 dev eth0",
		"addr add "+FarV6+"/64 dev eth0 nodad",
		"link set eth0 txqueuelen 5000 up",
		"route add default via 203.0.113.1",
		"route add default via 2001:db8:f::1",
	); err != nil {
		return err
	}
	go carry(a, b, delay)
	go carry(b, a, delay)
	return nil
}

// carry moves frames from one tap to the other, each one delay after it was read, in order.
// It ends with the process.
func carry(from, to *os.File, delay time.Duration) {
	type frame struct {
		due time.Time
		b   []byte
	}
	queue := make(chan frame, 1<<16)
	go func() {
		for f := range queue {
			time.Sleep(time.Until(f.due))
			to.Write(f.b) // a frame that the device refuses is a frame lost
		}
	}()
	buf := make([]byte, 1<<17)
	for {
		n, err := from.Read(buf)
		if err != nil {
			close(queue)
			return
		}
		queue <- frame{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
	}
}
