package dhcp

// Where the options of an answer go (RFC 2132, section 9.3; RFC 3396). The client says how
// long an answer may be, 548 bytes if it says nothing, which leaves 308 for options. What
// does not fit there goes into the unused fields file and sname, and what does not fit
// there either is left out, or cut if it is a list. Options come in order of importance for
// that reason. An option longer than 255 bytes is written in pieces, one behind the other.

import "github.com/insomniacslk/dhcp/dhcpv4"

// Values of option 52: which fields hold options.
const (
	overloadFile  = 1
	overloadSname = 2
)

// option is one option of an answer.
type option struct {
	code dhcpv4.OptionCode
	data []byte
	unit int // bytes of an element, if data is a list that may be cut short; else 0
}

// size is what o takes, in bytes.
func (o *option) size() int {
	pieces := max((len(o.data)+254)/255, 1)
	return len(o.data) + 2*pieces
}

// region is a part of a message that takes options, n bytes of which are taken.
type region struct {
	b []byte
	n int
}

// put writes o if it fits in front of an end option, and says whether it did.
func (r *region) put(o *option) bool {
	if r.n+o.size()+1 > len(r.b) {
		return false
	}
	data := o.data
	for first := true; first || len(data) > 0; first = false {
		n := min(len(data), 255)
		r.b[r.n], r.b[r.n+1] = o.code.Code(), byte(n)
		copy(r.b[r.n+2:], data[:n])
		r.n, data = r.n+2+n, data[n:]
	}
	return true
}

// room is how many bytes of data an option of one piece may have.
func (r *region) room() int { return min(len(r.b)-r.n-3, 255) }

// end writes the end option, for which put has left room.
func (r *region) end() { r.b[r.n] = dhcpv4.OptionEnd.Code() }

// layout is the regions of a message: the options field, file, and sname. The index of the
// fields is also their bit in option 52.
type layout [3]region

// place writes o into the first region that has room for it, if any. Of a list that is too
// long, the beginning goes where most of it fits.
func (l *layout) place(o *option) bool {
	widest := &l[0]
	for i := range l {
		if l[i].put(o) {
			return true
		}
		if l[i].room() > widest.room() {
			widest = &l[i]
		}
	}
	if o.unit == 0 || widest.room() < o.unit {
		return false
	}
	n := widest.room() / o.unit * o.unit
	return widest.put(&option{code: o.code, data: o.data[:n]})
}

// layOut writes options into m, which may become room bytes long, and returns the length
// of the message. The last thing to be placed is the first of last that fits.
func layOut(m message, room int, options, last []option) int {
	room = max(min(room, len(m)), minMessage)
	total := 1
	for i := range options {
		total += options[i].size()
	}
	if len(last) > 0 {
		total += last[0].size()
	}
	l := layout{{b: m[offOptions:room]}}
	overload := option{code: dhcpv4.OptionOptionOverload, data: []byte{0}}
	if total > len(l[0].b) {
		l[0].b = l[0].b[:len(l[0].b)-overload.size()]
		l[overloadFile].b, l[overloadSname].b = m.file(), m.sname()
	}
	for i := range options {
		l.place(&options[i])
	}
	for i := range last {
		if l.place(&last[i]) {
			break
		}
	}
	l[0].b = m[offOptions:room]
	for i := overloadFile; i <= overloadSname; i++ {
		if l[i].n > 0 {
			l[i].end()
			overload.data[0] |= byte(i)
		}
	}
	if overload.data[0] != 0 {
		l[0].put(&overload)
	}
	l[0].end()
	return max(offOptions+l[0].n+1, minMessage)
}
