package fault

import "math/rand/v2"

// Action is what happens to one frame.
type Action uint8

// Actions.
const (
	Pass      Action = iota
	Drop             // the frame is lost; whoever sent it is told that it went
	Duplicate        // it comes twice
	Swap             // it comes after the next one
	Corrupt          // one bit of it behind the Ethernet header is wrong
	Stall            // this call ends before it: Send falls short, Recv returns fewer
	Close            // the link ends before it, with link.ErrClosed
)

// Direction is the way that a frame goes.
type Direction uint8

// Directions.
const (
	FromGuest Direction = iota // Recv
	ToGuest                    // Send
)

// Script says what happens to the n-th frame of a direction, counted from 0. It is asked
// once for each frame, in order, except that a frame which met Stall counts again.
type Script func(d Direction, n uint64) Action

// List is a script that follows two lists, and passes whatever comes after their ends.
func List(fromGuest, toGuest []Action) Script {
	return func(d Direction, n uint64) Action {
		l := fromGuest
		if d == ToGuest {
			l = toGuest
		}
		if n < uint64(len(l)) {
			return l[n]
		}
		return Pass
	}
}

// Rates says how many of 1000 frames meet each action, on average. The rest pass.
type Rates struct{ Drop, Duplicate, Swap, Corrupt, Stall int }

// Random is a script by chance, the same for the same seed.
func Random(seed uint64, r Rates) Script {
	rnd := rand.New(rand.NewPCG(seed, 0))
	steps := []struct {
		rate int
		a    Action
	}{{r.Drop, Drop}, {r.Duplicate, Duplicate}, {r.Swap, Swap}, {r.Corrupt, Corrupt}, {r.Stall, Stall}}
	return func(Direction, uint64) Action {
		x := rnd.IntN(1000)
		for _, s := range steps {
			if x -= s.rate; x < 0 {
				return s.a
			}
		}
		return Pass
	}
}
