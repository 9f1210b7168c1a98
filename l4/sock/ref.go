package sock

// Kind says whom an event of the worker's epoll instance, or of its timer wheel, is for.
type Kind uint8

// Kinds of events.
const (
	KindLink       Kind = iota + 1 // the guest's link
	KindWake                       // another thread wants the worker's attention
	KindListen                     // a listening socket of a forwarded TCP port
	KindTCP                        // a TCP flow's socket, or its timer
	KindUDP                        // a UDP host socket, or the timer of a UDP flow
	KindICMP                       // a ping socket, or the timer of an echo flow
	KindNDP                        // timer of router advertisements
	KindSplice                     // a socket of a bypassed TCP connection, or their timer
	KindSpliceUDP                  // a socket of a bypassed UDP flow, or their timer
	KindSplicePort                 // a bound UDP socket of the bypass
	KindGuests                     // a guest waits to be let in
	KindCall                       // another goroutine wants something of the worker
)

// Ref is what a descriptor or a timer is registered with: whose it is (Kind), a value of
// 24 bits that the owner chooses (a generation or a side), and the owner's index.
type Ref uint64

// MakeRef makes a Ref; aux is cut to 24 bits.
func MakeRef(k Kind, aux, id uint32) Ref {
	return Ref(uint64(k)<<56 | uint64(aux&0xffffff)<<32 | uint64(id))
}

// Kind is the owner.
func (r Ref) Kind() Kind { return Kind(r >> 56) }

// Aux is the owner's own 24 bits.
func (r Ref) Aux() uint32 { return uint32(r>>32) & 0xffffff }

// ID is the owner's index.
func (r Ref) ID() uint32 { return uint32(r) }

// Events of a descriptor (epoll_ctl(2)).
const (
	In     = 0x1
	Out    = 0x4
	Err    = 0x8
	Hup    = 0x10
	Pri    = 0x2
	RdHup  = 0x2000
	Edge   = 1 << 31
	Excl   = 1 << 28
	InOut  = In | Out | RdHup | Edge
	InEdge = In | Edge
)

// Poller watches descriptors; Epoll is one. Add and Mod say whether the descriptor is watched,
// which a limit of the user's may forbid (max_user_watches, epoll(7)); an owner gives up one
// that is not.
type Poller interface {
	Add(fd int, ref Ref, events uint32) bool
	Mod(fd int, ref Ref, events uint32) bool
	Del(fd int)
}
