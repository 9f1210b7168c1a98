package splice

const chunkLen = 64

// slab holds the connections: fixed places without pointers that never move, each with a
// generation that changes when it is used again.
type slab struct {
	chunks []*[chunkLen]conn
	free   []uint32
	used   uint32
	n      int
}

// genBits is how long a generation is: with a side, it is what a sock.Ref has room for.
const genBits = 23

func (s *slab) at(id uint32) *conn { return &s.chunks[id/chunkLen][id%chunkLen] }

// get finds a connection by its place, nil if it is gone.
func (s *slab) get(id, gen uint32) *conn {
	if id >= s.used {
		return nil
	}
	if c := s.at(id); c.state != closed && c.gen == gen {
		return c
	}
	return nil
}

// take makes a connection in a free place.
func (s *slab) take() *conn {
	var id uint32
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		id = s.used
		if id%chunkLen == 0 {
			s.chunks = append(s.chunks, new([chunkLen]conn))
		}
		s.used++
	}
	c := s.at(id)
	*c = conn{id: id, gen: (c.gen + 1) & (1<<genBits - 1), state: connecting}
	s.n++
	return c
}

// put frees the place of c.
func (s *slab) put(c *conn) {
	c.state = closed
	s.free = append(s.free, c.id)
	s.n--
}
