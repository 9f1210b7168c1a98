package link

// Arena is memory to send from for devices whose slots are plain memory: as many slots as
// fit, one body after the other. Its Reserve is a device's.
type Arena struct {
	mem  []byte
	most int // bytes of one body
	head [][MaxHead]byte
	body [][1][]byte
}

// arenaAlign is where bodies start, in bytes: cache lines.
const arenaAlign = 64

// NewArena makes an Arena of size bytes for up to batch slots with bodies of up to most
// bytes, of which size holds at least one. Pages are the kernel's until they are touched.
func NewArena(size, batch, most int) Arena {
	return Arena{mem: make([]byte, size), most: most, head: make([][MaxHead]byte, batch), body: make([][1][]byte, batch)}
}

// Reserve lends slots, as of Device.
func (a *Arena) Reserve(dst []Slot, size int) int {
	if size > a.most || size < 0 {
		return 0
	}
	step := (size + arenaAlign - 1) &^ (arenaAlign - 1)
	n := min(len(dst), len(a.head))
	if step > 0 {
		n = min(n, len(a.mem)/step)
	}
	for i := range dst[:n] {
		off := i * step
		a.body[i][0] = a.mem[off : off+size : off+size]
		dst[i] = Slot{Head: a.head[i][:], Body: a.body[i][:]}
	}
	return n
}
