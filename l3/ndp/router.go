package ndp

// The entry to the package: what every Neighbor Discovery message must satisfy before
// anything else is looked at (RFC 4861, sections 6.1 and 7.1), and who handles it then.
//
// We are the only router and the only neighbor that the guest has, whatever is behind us.
// Advertisements and Redirects of the guest therefore say nothing that we need, and the
// address of the guest is what the layer below saw last: there is no neighbor cache.

import (
	"encoding/binary"
	"net/netip"
	"time"

	"passt/l3"
	"passt/l3/inet"
	"passt/link"
)

// ICMPv6 types of Neighbor Discovery (RFC 4861, section 4).
const (
	typeRS       = 133
	typeRA       = 134
	typeNS       = 135
	typeNA       = 136
	typeRedirect = 137
)

// Lengths of the messages without options, in bytes.
const (
	lenRS       = 8
	lenRA       = 16
	lenNS       = 24
	lenNA       = 24
	lenRedirect = 40
)

// Option types (RFC 4861, section 4.6).
const (
	optSourceLLA = 1
	optTargetLLA = 2
)

// hopLimit is that of every Neighbor Discovery message: proof that no router passed it on.
const hopLimit = 255

// allNodes is ff02::1.
var allNodes = inet.Addr{0: 0xff, 1: 0x02, 15: 1}

// Config is what a Router is told.
type Config struct {
	MAC [6]byte // ours
	// LinkLocal is our link-local address, the source of Router Advertisements. Without
	// one none are sent.
	LinkLocal netip.Addr
	// Gateway is the guest's default router as it was configured, another address of ours.
	// It may equal LinkLocal, or be invalid.
	Gateway netip.Addr
	// Ignore says of an address whether it is the guest's own, configured or observed: a
	// solicitation for it stays unanswered. A nil function means that no address is.
	Ignore func(a inet.Addr) bool
	// Tested is told of each address that the guest tests before it takes it, and where it
	// may be reached before it has sent anything from there. It may be nil.
	Tested func(a inet.Addr)

	// What Router Advertisements say.

	Prefix  netip.Prefix // its /64 is announced for autoconfiguration; invalid: none
	MTU     uint32       // bytes; 0: not announced
	DNS     []netip.Addr // resolvers; other than IPv6 ones are left out
	Search  []string     // search list
	Managed bool         // addresses are to be had by DHCPv6
	Other   bool         // other configuration is to be had by DHCPv6
	NoRA    bool         // Router Solicitations are ignored, nothing is advertised

	// MinInterval and MaxInterval limit the time between unsolicited advertisements. Zero
	// stands for the defaults of RFC 4861, section 6.2.1.
	MinInterval, MaxInterval time.Duration
	// Rand is a uniformly distributed number in [0, n). It is needed unless NoRA is set.
	Rand func(n int64) int64
}

// Stats counts messages.
type Stats struct {
	Rx           uint64
	RxBad        uint64 // not valid by RFC 4861
	RxIgnored    uint64 // of a kind that needs no answer, or for an address that must not get one
	RxLimited    uint64 // Router Solicitations beyond the rate that is answered
	TxNeighbor   uint64 // Neighbor Advertisements
	TxRouter     uint64 // Router Advertisements
	TxNoRoom     uint64 // answers that the link had no room for
	RxDuplicates uint64 // attempts of the guest to take an address of ours
}

// Router is our end of Neighbor Discovery for one link. It belongs to one thread.
type Router struct {
	cfg       Config
	out       l3.Output
	linkLocal inet.Addr
	gateway   inet.Addr
	template  l3.Template // of the message in hand
	na        advertisement
	slot      [1]link.Slot
	adv       advertiser
	Stats     Stats
}

var _ l3.Control = (*Router)(nil)

// New makes a Router that sends through out. Call Timer once to start the advertisements.
func New(cfg Config, out l3.Output) *Router {
	r := &Router{out: out}
	r.configure(cfg)
	r.adv.credit = solicitBurst
	return r
}

// configure makes cfg what the Router is told.
func (r *Router) configure(cfg Config) {
	r.cfg, r.linkLocal, r.gateway = cfg, inet.Addr{}, inet.Addr{}
	if cfg.LinkLocal.Is6() {
		r.linkLocal = inet.FromNetip(cfg.LinkLocal)
	}
	if cfg.Gateway.Is6() {
		r.gateway = inet.FromNetip(cfg.Gateway)
	}
	r.adv.configure(&r.cfg)
}

// Input handles p if it is a message of Neighbor Discovery and says whether it was one.
// now is monotonic time in nanoseconds.
func (r *Router) Input(p *l3.Packet, now int64) bool {
	if p.Proto != l3.ProtoICMPv6 || p.Src.Is4() || len(p.L4) == 0 || p.L4[0] < typeRS || p.L4[0] > typeRedirect {
		return false
	}
	r.Stats.Rx++
	opts, ok := check(p)
	if !ok {
		r.Stats.RxBad++
		return true
	}
	switch p.L4[0] {
	case typeRS:
		r.routerSolicitation(p, opts, now)
	case typeNS:
		r.neighborSolicitation(p, opts)
	default:
		r.Stats.RxIgnored++
	}
	return true
}

// options is what is to be known about the options of a message.
type options struct {
	sourceLLA bool // there is a source link-layer address
}

// check applies the rules that all Neighbor Discovery messages share.
func check(p *l3.Packet) (options, bool) {
	b := p.L4
	least := [...]int{lenRS, lenRA, lenNS, lenNA, lenRedirect}[b[0]-typeRS]
	if len(b) < least || p.Src.IsMulticast() || p.TTL != hopLimit || b[1] != 0 || !checksumOK(p) {
		return options{}, false
	}
	return parseOptions(b[least:])
}

// parseOptions walks the options of a message: none may be of length 0 (RFC 4861, section
// 4.6), nor go beyond the message.
func parseOptions(b []byte) (o options, ok bool) {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return o, false
		}
		o.sourceLLA = o.sourceLLA || b[0] == optSourceLLA
		b = b[int(b[1])*8:]
	}
	return o, true
}

// checksumOK verifies the checksum of an ICMPv6 message, unless the link vouches for it.
func checksumOK(p *l3.Packet) bool {
	if p.Meta.Flags&(link.NeedsCsum|link.DataValid) != 0 {
		return true
	}
	return l3.Fold(l3.Sum(l3.PseudoSum(&p.Src, &p.Dst, l3.ProtoICMPv6, len(p.L4)), p.L4)) == 0xffff
}

// ours says whether a is one of our own addresses.
func (r *Router) ours(a *inet.Addr) bool {
	return !a.IsZero() && (*a == r.linkLocal || *a == r.gateway)
}

// send sends a message from src to dst whose checksum field is zero. The message is
// copied.
func (r *Router) send(src, dst inet.Addr, msg []byte) bool {
	if r.out.Reserve(r.slot[:], len(msg)) == 0 {
		r.Stats.TxNoRoom++
		return false
	}
	s := &r.slot[0]
	r.template.Make(src, dst, l3.ProtoICMPv6, hopLimit, 0)
	s.Head = s.Head[:r.template.L4()]
	pseudo := r.template.Put(s.Head, len(msg))
	binary.BigEndian.PutUint16(msg[2:], l3.Checksum(pseudo, msg))
	s.Len = 0
	for _, piece := range s.Body {
		s.Len += copy(piece, msg[s.Len:])
	}
	msg[2], msg[3] = 0, 0
	s.Meta = link.Meta{}
	if s.Len < len(msg) || r.out.Send(r.slot[:]) == 0 {
		r.Stats.TxNoRoom++
		return false
	}
	return true
}
