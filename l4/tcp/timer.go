package tcp

// Timers (RFC 6298 for retransmission; RFC 9293, sections 3.8.3 to 3.8.6). A link loses
// next to nothing and has no distance, so the retransmission timeout is fixed, doubled
// with each retry. Connections that nothing is heard of are looked at by a sweep, which
// costs an idle connection no timer.

import (
	"passt/l4/sock"
)

const (
	millisecond = 1_000_000
	second      = 1000 * millisecond

	rto        = 250 * millisecond
	rtoMax     = 60 * second
	synRTO     = 1 * second
	maxRetries = 15 // of data, as of a Linux peer (tcp(7), tcp_retries2)
	synRetries = 4  // of our SYN: together with the first, about half a minute
	// probeRetries is how many retries count of a guest that answers with a closed window: enough
	// for the longest timeout, and never enough to give it up.
	probeRetries = 8

	sweepEvery   = 60 * second
	idleAfter    = 7200 * second // when to ask whether both ends are still there
	idleAskEvery = 75 * second
	idleGiveUp   = idleAfter + 9*idleAskEvery
)

// sweepID is the index that the timer of the sweep has instead of a connection's.
const sweepID = 1<<32 - 1

// StartSweep starts the sweep for idle connections.
func (t *Translator) StartSweep(now int64) {
	t.cfg.Wheel.Add(uint64(sock.MakeRef(sock.KindTCP, 0, sweepID)), now+sweepEvery)
}

// arm sets the deadline of e.
func (t *Translator) arm(e *entry, at int64) {
	c := &e.Val
	c.deadline = at
	if c.armed == 0 || at < c.armed {
		c.armed = at
		t.cfg.Wheel.Add(uint64(t.ref(e)), at)
	}
}

// Timer handles a reference that the wheel has fired.
func (t *Translator) Timer(ref sock.Ref, now int64) {
	switch ref.ID() {
	case sweepID:
		t.sweep(now)
		return
	case lateID:
		t.sendLate(now)
		return
	}
	e := t.conns.At(ref.ID(), ref.Aux())
	if e == nil {
		return
	}
	c := &e.Val
	if now < c.armed {
		return // of an earlier deadline that was moved forward: each would live on beside the others
	}
	c.armed = 0
	switch {
	case c.deadline == 0:
	case now < c.deadline:
		t.arm(e, c.deadline)
	default:
		c.deadline = 0
		t.expired(e, now)
	}
}

// expired handles a deadline that has passed.
func (t *Translator) expired(e *entry, now int64) {
	c := &e.Val
	if c.has(blocked) && c.state == established {
		t.arm(e, now+rto) // nothing can be sent: it is not the guest that is silent
		return
	}
	c.retries++
	switch c.state {
	case answering, offering:
		if c.retries > synRetries {
			t.Stats.Timeouts++
			t.abort(e, "the guest does not answer")
			return
		}
		t.sendSYN(e)
		t.arm(e, now+backoff(synRTO, c.retries))
	case established:
		if c.retries > maxRetries {
			t.Stats.Timeouts++
			t.abort(e, "the guest does not answer")
			return
		}
		if c.inFlight() > 0 {
			t.goBack(e)
			t.arm(e, now+backoff(rto, c.retries))
		} else if c.waits() {
			// An old sequence number makes the guest say where it stands, and its window.
			t.emit(e, c.sndUna-1, ACK)
			t.arm(e, now+backoff(rto, c.retries))
		} else {
			c.retries = 0
		}
	}
}

func backoff(base int64, retries uint8) int64 {
	return min(base<<min(retries, 16), rtoMax)
}

// goBack makes the next push start at the oldest byte that is not acknowledged.
func (t *Translator) goBack(e *entry) {
	c := &e.Val
	t.Stats.Retransmits++
	c.clear(recovering)
	c.sndNxt = c.sndUna
	t.mark(e, 0)
}

// fastRetransmit sends the segment that the guest seems to miss (RFC 5681, section 3.2).
func (t *Translator) fastRetransmit(e *entry, now int64) {
	c := &e.Val
	if c.has(recovering) {
		return
	}
	c.set(recovering)
	c.recover = c.sndMax
	t.resend(e, now)
}

// resend sends one frame from SND.UNA on again, and nothing else.
func (t *Translator) resend(e *entry, now int64) {
	c := &e.Val
	t.Stats.Retransmits++
	next := c.sndNxt
	c.sndNxt = c.sndUna
	if left := int(int32(c.dataEnd() - c.sndUna)); left > 0 {
		size, _ := t.frameSize(c)
		t.pushBatch(e, min(left, size), now)
	} else if c.has(sentFIN) {
		t.sendFIN(e, now)
	}
	c.sndNxt = seqMax(c.sndNxt, next)
}

// sweep looks for connections that nothing was heard of for long: it asks both ends, and
// ends those that the guest does not answer for.
func (t *Translator) sweep(now int64) {
	t.conns.All(func(e *entry) {
		c := &e.Val
		idle := now - c.lastSeen
		switch {
		case c.state != established || idle < idleAfter:
			c.clear(keepAlive)
		case idle >= idleGiveUp:
			t.Stats.Timeouts++
			t.abort(e, "the guest does not answer")
		default:
			if !c.has(keepAlive) {
				c.set(keepAlive)
				t.cfg.Sockets.KeepAlive(int(c.fd))
			}
			t.emit(e, c.sndUna-1, ACK)
		}
	})
	t.StartSweep(now)
}

// Reset ends all connections: the guest they belonged to is gone.
func (t *Translator) Reset() {
	t.conns.All(func(e *entry) { t.drop(e, sock.Abort, "the guest has gone") })
	t.due, t.late, t.blocked = t.due[:0], t.late[:0], t.blocked[:0]
}
