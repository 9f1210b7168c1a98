package tap

import "testing"

// TestPace plays patterns of arrival and counts reads that found nothing.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name              string
		burst             int // frames that arrive before each wake-up; -1: always more
		wakes             int
		maxEmpty, maxRecv int
	}{
		{"one at a time", 1, 1000, 40, 1000},
		{"two at a time", 2, 1000, 300, 1100},
		{"bursts of ten", 10, 1000, 300, 1100},
		{"bursts of 64", 64, 1000, 40, 1100},
		{"a flood", -1, 1000, 0, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPace()
			empty, recvs, moved := 0, 0, 0
			for range c.wakes {
				queue := c.burst
				for queue != 0 {
					recvs++
					if c.burst > 0 && queue < p.budget {
						empty++
						moved += queue
						p.drained(queue)
						break
					}
					moved += p.budget
					n := p.budget
					p.filled(n)
					if c.burst < 0 {
						break
					}
					queue -= n
				}
			}
			t.Logf("%d frames, %d calls, %d empty reads", moved, recvs, empty)
			if empty > c.maxEmpty || recvs > c.maxRecv {
				t.Errorf("%d calls and %d empty reads for %d frames; want at most %d and %d", recvs, empty, moved, c.maxRecv, c.maxEmpty)
			}
		})
	}
}
