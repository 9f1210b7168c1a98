package logx

// Limit keeps a line that a guest or the network can cause from filling a log: it lets
// Burst lines through at once and then one more for each Every that passes.
//
// It is for one thread; a worker has its own. The clock is the caller's.
type Limit struct {
	Every int64 // nanoseconds for one line
	Burst int64 // lines at once, at least 1

	credit     int64 // nanoseconds saved up, at most Burst × Every
	last       int64 // time of the last call
	started    bool
	suppressed uint64
}

// Allow says whether a line may be written at now, in nanoseconds of any clock that does
// not run backwards, and if so how many lines were held back since the last one.
func (l *Limit) Allow(now int64) (suppressed uint64, ok bool) {
	most := max(l.Burst, 1) * l.Every
	if !l.started {
		l.started, l.credit = true, most
	} else if d := now - l.last; d > 0 {
		l.credit = min(most, l.credit+min(d, most))
	}
	l.last = now
	if l.credit < l.Every {
		l.suppressed++
		return 0, false
	}
	l.credit -= l.Every
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
