package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// A thread that keeps its P while it waits is woken without asking the scheduler for one
// again, which for a request and its answer was measured as a fifth of the time and of the CPU.
// It does no harm for a short while: whoever stops the world sends the thread a signal
// until it complies, and epoll_wait(2) returns at a signal. Nor should it take longer: the
// scheduler asks a thread for its P after ten milliseconds, by a signal as well, which would
// keep an idle machine from sleeping.
const (
	brief    = 1_000_000 // a wait is brief if it ends within this time, in nanoseconds
	enough   = 32        // brief waits, without a long one between, until the P is kept
	keepTime = 5_000_000 // the longest wait with a P, in nanoseconds
)

// alarmRef is what the alarm of a Waiter is registered under.
const alarmRef = 1<<64 - 1

// Waiter waits for the events of an epoll instance, or for a deadline, on a thread that does
// nothing else: one locked thread of a program that has more Ps than Waiters. While events
// come one shortly after the other, the thread keeps its P.
type Waiter struct {
	*Epoll
	alarm   *Timer
	alarmAt int64 // when the alarm goes off; 0 if it is not set
	began   int64 // when the last wait did
	streak  int   // brief waits
}

// NewWaiter makes a Waiter with an epoll instance of its own, that takes up to batch events in
// one Wait. References of all ones are its own.
func NewWaiter(batch int) (*Waiter, error) {
	p, err := NewEpoll(batch)
	if err != nil {
		return nil, err
	}
	alarm, err := NewTimer()
	if err != nil {
		p.Close()
		return nil, err
	}
	w := &Waiter{Epoll: p, alarm: alarm}
	if e := p.Add(alarm.FD(), alarmRef, unix.EPOLLIN|unix.EPOLLET); e != 0 {
		w.Close()
		return nil, e
	}
	return w, nil
}

// Wait waits for events, fills dst with them and returns how many. It returns none at the
// deadline, perhaps a little earlier, and possibly at other times. Both now, when the wait
// begins, and deadline are nanoseconds of the same monotonic clock; a deadline of 0 is never.
func (w *Waiter) Wait(dst []Event, now, deadline int64) (int, syscall.Errno) {
	keep := w.keeps(now)
	if keep && (deadline == 0 || deadline > now+keepTime) {
		deadline = now + keepTime
	}
	if deadline != 0 && (w.alarmAt == 0 || deadline < w.alarmAt) {
		w.alarmAt = deadline
		w.alarm.Set(deadline - now)
	}
	n, e := w.wait(dst, keep)
	for i := range dst[:n] {
		if dst[i].Ref == alarmRef {
			w.alarmAt = 0
			dst[i] = dst[n-1]
			return n - 1, e
		}
	}
	return n, e
}

// keeps says whether to keep the P in a wait that begins now.
func (w *Waiter) keeps(now int64) bool {
	switch took := now - w.began; {
	case took < brief:
		w.streak = min(w.streak+1, enough)
	case took >= keepTime:
		w.streak = 0
	}
	w.began = now
	return w.streak == enough
}

// Close closes the epoll instance and the alarm.
func (w *Waiter) Close() {
	w.alarm.Close()
	w.Epoll.Close()
}
