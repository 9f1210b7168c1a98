package service

// The rate at which messages of a guest are looked at: a flood of them must not cost more
// than a few percent of a processor, while any honest client gets its answer at once.

const (
	cost  = 5_000_000 // nanoseconds for one message: 200 a second in the long run
	burst = 100 * cost
)

// Rate is a token bucket. The zero Rate is full.
type Rate struct {
	spent int64 // nanoseconds' worth of messages beyond what time has paid for
	last  int64
}

// Take says whether one more message at the time now, in monotonic nanoseconds, is within
// the rate.
func (r *Rate) Take(now int64) bool {
	r.spent = max(r.spent-max(now-r.last, 0), 0)
	r.last = now
	if r.spent+cost > burst {
		return false
	}
	r.spent += cost
	return true
}
