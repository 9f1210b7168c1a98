package l3

// Fragmentation of datagrams towards the guest that are longer than its MTU (RFC 791,
// section 3.2; RFC 8200, section 4.5): each fragment but the last carries a multiple of
// eight bytes.

import (
	"encoding/binary"

	"passt/link"
)

const fragHeaderLen = 8 // of IPv6's fragment header

// Fragment sends the transport header and payload l4, its checksum complete, behind
// headers of t in as many fragments as packets of mtu bytes take, or as one packet if it
// fits. id is the identification of the datagram; the fragments of two datagrams that are
// under way at once need different ones. slots is memory to work with, at least one, which
// belongs to Fragment until it returns. It says whether the link took all.
func Fragment(out Output, slots []link.Slot, t *Template, l4 []byte, mtu int, id uint32) bool {
	if t.Len()+len(l4) <= mtu {
		return t.sendParts(out, slots[:1], l4, len(l4), func(head []byte, _, n int) []byte {
			t.Put(head, n)
			return head[:t.L4()]
		})
	}
	if t.n == HeaderLen4 {
		return t.sendParts(out, slots, l4, (mtu-HeaderLen4)&^7, func(head []byte, at, n int) []byte {
			return t.putFragment4(head, at, n, at+n < len(l4), uint16(id))
		})
	}
	return t.sendParts(out, slots, l4, (mtu-HeaderLen6-fragHeaderLen)&^7, func(head []byte, at, n int) []byte {
		return t.putFragment6(head, at, n, at+n < len(l4), id)
	})
}

// sendParts sends l4 in parts of size bytes. put writes the head of the part of n bytes at
// the offset at, and returns it.
func (t *Template) sendParts(out Output, slots []link.Slot, l4 []byte, size int, put func(head []byte, at, n int) []byte) bool {
	if size <= 0 && len(l4) > 0 {
		return false
	}
	for at := 0; at < len(l4); {
		want := min(len(slots), (len(l4)-at+size-1)/size)
		got := out.Reserve(slots[:want], size)
		if got == 0 {
			return false
		}
		for i := range slots[:got] {
			s := &slots[i]
			n := min(size, len(l4)-at)
			s.Head = put(s.Head, at, n)
			s.Len = copyBody(s.Body, l4[at:at+n])
			s.Meta = link.Meta{}
			at += n
		}
		if out.Send(slots[:got]) < got {
			return false
		}
	}
	return true
}

func (t *Template) putFragment4(head []byte, at, n int, more bool, id uint16) []byte {
	h := head[LinkLen:]
	copy(h, t.b[:HeaderLen4])
	binary.BigEndian.PutUint16(h[2:], uint16(HeaderLen4+n))
	binary.BigEndian.PutUint16(h[4:], id)
	word := uint16(at / 8)
	if more {
		word |= 0x2000
	}
	binary.BigEndian.PutUint16(h[6:], word)
	binary.BigEndian.PutUint16(h[10:], Checksum(0, h[:HeaderLen4]))
	return head[:LinkLen+HeaderLen4]
}

func (t *Template) putFragment6(head []byte, at, n int, more bool, id uint32) []byte {
	h := head[LinkLen:]
	copy(h, t.b[:HeaderLen6])
	binary.BigEndian.PutUint16(h[4:], uint16(fragHeaderLen+n))
	f := h[HeaderLen6:]
	f[0], f[1], h[6] = h[6], 0, extFragment
	word := uint16(at)
	if more {
		word |= 1
	}
	binary.BigEndian.PutUint16(f[2:], word)
	binary.BigEndian.PutUint32(f[4:], id)
	return head[:LinkLen+HeaderLen6+fragHeaderLen]
}
