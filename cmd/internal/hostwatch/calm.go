package hostwatch

import "time"

// A change comes in pieces: a link goes down, addresses and routes go, others come, and a
// program writes a new resolv.conf when it is through with that. So somebody who looks waits
// until nothing has happened for a while. That must come to an end where something happens
// all the time, on a router, say; and there a look at many routes takes long, so that looks
// are kept to a small share of the time.
const (
	quiet = 250 * time.Millisecond
	most  = 2 * time.Second // from the first event to the look at it
	share = 20              // a look that took some time is followed by a pause of share times that
)

// calm says when to look. The clock is the caller's.
type calm struct {
	first, last time.Time // of the events since the last look; zero if there was none
	pause       time.Time // no look before
}

// event notes that something happened.
func (c *calm) event(now time.Time) {
	if c.first.IsZero() {
		c.first = now
	}
	c.last = now
}

// due is when to look next; ok is false if there is nothing to look at.
func (c *calm) due() (at time.Time, ok bool) {
	if c.first.IsZero() {
		return at, false
	}
	at = c.last.Add(quiet)
	if limit := c.first.Add(most); at.After(limit) {
		at = limit
	}
	if at.Before(c.pause) {
		at = c.pause
	}
	return at, true
}

// look notes that a look begins, at everything that has happened until now.
func (c *calm) look() { c.first, c.last = time.Time{}, time.Time{} }

// looked notes that it took from began to now.
func (c *calm) looked(began, now time.Time) { c.pause = now.Add(share * now.Sub(began)) }
