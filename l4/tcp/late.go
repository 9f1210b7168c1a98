package tcp

// Acknowledgements that wait (RFC 9293, section 3.8.6.3: at most half a second). Most small
// segments are requests, and the answer carries the acknowledgement: one segment less for
// each transaction. But a guest whose next small segment waits for the acknowledgement of
// this one (the Nagle algorithm) must not wait for an answer that never comes. So only a
// flow that was answered in time so far is let wait, and one that was not is acknowledged at
// once for a while, as hosts do (net/ipv4/tcp_input.c, "pingpong" and "quickack").

import "passt/l4/sock"

const (
	// lateAfter is how long an acknowledgement waits, in nanoseconds.
	lateAfter = 10 * millisecond
	// lateMax is how many bytes may wait.
	lateMax = 8 << 10
	// quickVain is how many runs are acknowledged at once after a wait in vain.
	quickVain = 16
)

// lateID is the index that the timer of late acknowledgements has instead of a connection's.
const lateID = 1<<32 - 2

// acknowledgeTaken makes the acknowledgement due for what was just taken from the guest.
func (t *Translator) acknowledgeTaken(e *entry, now int64) {
	c := &e.Val
	if c.rcvNxt-c.rcvAck > lateMax || c.quick > 0 {
		c.quick -= min(c.quick, 1)
		t.mark(e, ackNow)
		return
	}
	if !c.has(ackLate) {
		c.set(ackLate)
		t.wait(e, now)
	}
}

// wait puts e on the list of connections with something that may wait for lateAfter.
func (t *Translator) wait(e *entry, now int64) {
	c := &e.Val
	c.lateAt = now + lateAfter
	if !c.has(late) {
		c.set(late)
		t.late = append(t.late, e)
	}
	if !t.lateArmed {
		t.lateArmed = true
		t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindTCP, 0, lateID)), c.lateAt)
	}
}

// carried notes that a segment with an acknowledgement went to the guest.
func (c *Conn) carried() { c.clear(ackNow | ackLate) }

// sendLate sends the acknowledgements that waited in vain, and discards what was kept.
func (t *Translator) sendLate(now int64) {
	t.lateArmed = false
	list := t.late[:0]
	for _, e := range t.late { // a place that was used again meanwhile may be there more than once
		if e.Val.state == established && e.Val.has(late) {
			e.Val.clear(late)
			list = append(list, e)
		}
	}
	t.late = t.late[:0]
	for _, e := range list { // what goes on waiting is put back where the list was read already
		c := &e.Val
		if c.lateAt > now { // there was something newer meanwhile
			at := c.lateAt
			t.wait(e, now)
			c.lateAt = at
			continue
		}
		if c.has(ackLate) {
			c.clear(ackLate)
			c.quick = quickVain
			t.mark(e, ackNow)
		}
		t.discard(c)
	}
}
