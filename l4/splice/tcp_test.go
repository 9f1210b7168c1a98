package splice

import (
	"bytes"
	"syscall"
	"testing"

	"passt/l4/sock"
)

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		name string
		out  bool
		want string
	}{{"in", false, "192.0.2.10:80"}, {"out", true, "127.0.0.1:80"}} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.accept(tt.out)
			if m.dst.String() != tt.want || m.out != tt.out {
				t.Errorf("connects to %v, out %v", m.dst, m.out)
			}
		})
	}
}

func TestSmallData(t *testing.T) {
	m := open(t)
	m.socks[fdClient].in = []byte("question")
	m.event(fdClient, sock.In|sock.Out)
	m.wantSent(fdServer, []byte("question"))
	m.socks[fdServer].in = []byte("answer")
	m.event(fdServer, sock.In|sock.Out)
	m.wantSent(fdClient, []byte("answer"))
	if m.nextPipe != 0 {
		t.Error("small data took a pipe")
	}
}

// TestEarlyData has the client's data arrive before the target has accepted.
func TestEarlyData(t *testing.T) {
	m := newMachine(t)
	m.accept(false)
	m.socks[fdClient].in, m.socks[fdClient].eof = []byte("early"), true
	m.event(fdClient, sock.In|sock.Out|sock.RdHup)
	m.wantSent(fdServer, nil)
	m.event(fdServer, sock.Out)
	m.wantSent(fdServer, []byte("early"))
	m.wantEnds("", "half")
}

func TestEnds(t *testing.T) {
	const fin = sock.In | sock.Out | sock.RdHup
	for _, tt := range []struct {
		name           string
		script         func(m *machine)
		client, server string
	}{
		{"client half-closes", func(m *machine) {
			m.socks[fdClient].eof = true
			m.event(fdClient, fin)
		}, "", "half"},
		{"server half-closes", func(m *machine) {
			m.socks[fdServer].eof = true
			m.event(fdServer, fin)
		}, "half", ""},
		{"both close", func(m *machine) {
			m.socks[fdClient].eof = true
			m.event(fdClient, fin)
			m.socks[fdServer].eof = true
			m.event(fdServer, fin|sock.Hup)
		}, "orderly", "half orderly"},
		{"client resets", func(m *machine) {
			m.socks[fdClient].err = syscall.ECONNRESET
			m.event(fdClient, fin|sock.Hup|sock.Err)
		}, "abort", "abort"},
		{"server resets after a half-close of its own", func(m *machine) {
			m.socks[fdServer].eof = true
			m.event(fdServer, fin)
			m.socks[fdServer].err = syscall.ECONNRESET
			m.event(fdServer, fin|sock.Hup|sock.Err)
		}, "half abort", "abort"},
		{"server does not take it any more", func(m *machine) {
			m.socks[fdClient].in = []byte("x")
			m.socks[fdServer].err = syscall.EPIPE
			m.event(fdClient, sock.In)
		}, "abort", "abort"},
		{"client resets while the server is full", func(m *machine) {
			m.socks[fdClient].in = []byte("xy")
			m.socks[fdServer].room = 1
			m.event(fdClient, sock.In)
			m.socks[fdClient].err = syscall.ECONNRESET
			m.event(fdClient, fin|sock.Hup|sock.Err)
		}, "abort", "abort"},
		{"the end waits for the data", func(m *machine) {
			m.socks[fdClient].in, m.socks[fdClient].eof = []byte("xy"), true
			m.socks[fdServer].room = 1
			m.event(fdClient, fin)
		}, "", ""},
		{"and comes behind it", func(m *machine) {
			m.socks[fdClient].in, m.socks[fdClient].eof = []byte("xy"), true
			m.socks[fdServer].room = 1
			m.event(fdClient, fin)
			m.socks[fdServer].room = 9
			m.event(fdServer, sock.Out)
		}, "", "half"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := open(t)
			tt.script(m)
			m.wantEnds(tt.client, tt.server)
		})
	}
}

// TestLastWords has a side say something and reset. It must arrive, by whichever call the reset
// becomes known.
func TestLastWords(t *testing.T) {
	const broken = sock.In | sock.Out | sock.RdHup | sock.Hup | sock.Err
	for _, tt := range []struct {
		name    string
		to      int // where the words go
		script  func(m *machine, from *fakeSock)
		arrives string
	}{
		{"when it is sent more", fdClient, func(m *machine, _ *fakeSock) {
			m.socks[fdClient].in = []byte("more")
			m.event(fdClient, sock.In|sock.Out)
		}, "words"},
		{"when what is held is sent", fdClient, func(m *machine, server *fakeSock) {
			server.room, server.err = 0, 0
			m.socks[fdClient].in = []byte("more")
			m.event(fdClient, sock.In|sock.Out)
			server.err = syscall.EPIPE
			m.event(fdServer, sock.Out)
		}, "words"},
		{"when the pipe is emptied", fdClient, func(m *machine, server *fakeSock) {
			server.in, server.err, server.room = nil, 0, 500<<10
			m.socks[fdClient].in = pattern(1 << 20)
			m.event(fdClient, sock.In|sock.Out|sock.RdHup)
			server.in, server.err = []byte("words"), syscall.EPIPE
			m.event(fdServer, sock.Out)
		}, "words"},
		{"behind words that are held", fdClient, func(m *machine, server *fakeSock) {
			m.socks[fdClient].room, server.err = 2, 0
			m.event(fdServer, sock.In|sock.Out)
			server.in, server.err = []byte(", the last"), syscall.EPIPE
			m.socks[fdClient].in, m.socks[fdClient].room = []byte("more"), 100
			m.event(fdClient, sock.In)
		}, "words, the last"},
		{"to a side that is full", fdClient, func(m *machine, _ *fakeSock) {
			m.socks[fdClient].in, m.socks[fdClient].room = []byte("more"), 2
			m.event(fdClient, sock.In|sock.Out)
		}, "wo"},
		{"of the initiator", fdServer, func(m *machine, _ *fakeSock) {
			m.socks[fdServer].in = []byte("answer")
			m.event(fdServer, sock.In|sock.Out)
		}, "words"},
		{"together with the reset", fdClient, func(m *machine, _ *fakeSock) { m.event(fdServer, broken) }, "words"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := open(t)
			from := m.socks[fdClient+fdServer-tt.to]
			from.in, from.err = []byte("words"), syscall.ECONNRESET
			tt.script(m, from)
			m.wantSent(tt.to, []byte(tt.arrives))
			m.wantEnds("abort", "abort")
			if len(m.tcp.spare) != len(m.tcp.held) {
				t.Errorf("of %d buffers, %d are free", len(m.tcp.held), len(m.tcp.spare))
			}
		})
	}
	t.Run("with the first event of the target", func(t *testing.T) {
		m := newMachine(t)
		m.accept(false)
		m.socks[fdServer].in, m.socks[fdServer].err = []byte("words"), syscall.ECONNRESET
		m.event(fdServer, broken)
		m.wantSent(fdClient, []byte("words"))
		m.wantEnds("abort", "abort")
	})
	t.Run("no more than a queue holds", func(t *testing.T) {
		m := open(t)
		m.socks[fdServer].in, m.socks[fdServer].err = pattern(3*lastLen), syscall.ECONNRESET
		m.socks[fdClient].in = []byte("more")
		m.event(fdClient, sock.In)
		if n := m.socks[fdClient].out.Len(); n < lastLen || n >= 2*lastLen {
			t.Errorf("passed on %d bytes, want about %d", n, lastLen)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		m := newMachine(t)
		m.connectErr = syscall.ENETUNREACH
		m.accept(false)
		if m.socks[fdClient].ended != "abort " || m.tcp.Len() != 0 {
			t.Errorf("ended %q", m.socks[fdClient].ended)
		}
	})
	t.Run("later", func(t *testing.T) {
		m := newMachine(t)
		m.accept(false)
		m.event(fdServer, sock.In|sock.Out|sock.Err|sock.Hup)
		m.wantEnds("abort", "abort")
		m.event(fdClient, sock.In) // of the same batch
	})
	t.Run("never", func(t *testing.T) {
		m := newMachine(t)
		m.accept(false)
		m.tcp.Timer(m.now + connectTimeout - 1)
		m.wantEnds("", "")
		m.tcp.Timer(m.now + connectTimeout)
		m.wantEnds("abort", "abort")
	})
	t.Run("no place", func(t *testing.T) {
		m := newMachine(t)
		m.accept(false)
		m.accept(false)
		m.socks[fdClient].ended = ""
		m.accept(false)
		if m.socks[fdClient].ended != "abort " || m.tcp.Stats.TableFull != 1 {
			t.Errorf("ended %q", m.socks[fdClient].ended)
		}
	})
}

// TestBulk moves much, through a target of many sizes of room, and loses nothing when the way
// changes.
func TestBulk(t *testing.T) {
	for _, tt := range []struct {
		name     string
		room     int // of the target, each time that it has any
		pipeErr  syscall.Errno
		pipeSize int32
		pipe     bool
	}{
		{"no limit", 1 << 30, 0, 1 << 20, true},
		{"little room", 10_007, 0, 1 << 20, false},
		{"a pipe of the smallest size", 100_003, 0, pipeMin, true},
		{"a pipe that is too small", 100_003, 0, 8192, false},
		{"no pipe", 100_003, syscall.EMFILE, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := open(t)
			m.pipeErr, m.pipeSize = tt.pipeErr, tt.pipeSize
			want := pattern(3<<20 + 12345)
			c, s := m.socks[fdClient], m.socks[fdServer]
			c.in, c.eof, s.room = want, true, tt.room
			used := false
			for turns := 0; s.ended == ""; turns++ {
				if turns > 10_000 {
					t.Fatal("does not end")
				}
				if s.room > 0 {
					m.event(fdClient, sock.In|sock.RdHup)
				} else {
					s.room = tt.room
					m.event(fdServer, sock.Out)
				}
				used = used || len(m.pipes) > 0
			}
			if !bytes.Equal(s.out.Bytes(), want) {
				t.Errorf("%d bytes arrived, or others than the %d that were sent", s.out.Len(), len(want))
			}
			if used != tt.pipe {
				t.Errorf("a pipe was used: %v", used)
			}
			m.wantEnds("", "half")
			m.tcp.Reset()
			if len(m.pipes) > 0 {
				t.Errorf("%d ends of pipes are left", len(m.pipes))
			}
		})
	}
}

// TestTurn lets others have their turn.
func TestTurn(t *testing.T) {
	m := open(t)
	m.socks[fdClient].in = pattern(2 * turn)
	m.event(fdClient, sock.In)
	if n := m.socks[fdServer].out.Len(); n < turn || n >= 2*turn || m.rearmed != 1 {
		t.Errorf("moved %d bytes at once, asked for another turn %d times", n, m.rearmed)
	}
}

// TestQuiet gives the pipe back to others, and uses none for small data afterwards.
func TestQuiet(t *testing.T) {
	m := open(t)
	c := m.socks[fdClient]
	c.in = pattern(1 << 20)
	m.event(fdClient, sock.In|sock.RdHup)
	if m.tcp.Stats.Bulk != 1 || len(m.tcp.pipes) != 1 {
		t.Fatalf("bulk data: %+v, %d pipes", m.tcp.Stats, len(m.tcp.pipes))
	}
	if c.bulk || !m.socks[fdServer].bulk {
		t.Errorf("ready for bulk data: client %v, server %v", c.bulk, m.socks[fdServer].bulk)
	}
	for range 2 * bulkRuns {
		c.in = []byte("x")
		m.event(fdClient, sock.In)
	}
	if h := &m.tcp.conns.at(0).half[0]; h.bulk || h.pipe.r != none {
		t.Errorf("still uses a pipe: %+v", *h)
	}
}

// TestUrgent has urgent data in the midst of bulk data.
func TestUrgent(t *testing.T) {
	m := open(t)
	want := pattern(8 << 20)
	c, s := m.socks[fdClient], m.socks[fdServer]
	c.in = want
	m.event(fdClient, sock.In)
	if m.tcp.Stats.Bulk != 1 {
		t.Fatalf("no bulk data: %+v", m.tcp.Stats)
	}
	c.urgent, c.mark = true, 3<<20
	for before := -1; s.out.Len() > before; { // as long as there is another turn
		before = s.out.Len()
		m.event(fdClient, sock.In|sock.Pri)
	}
	m.wantSent(fdServer, want)
	if m.tcp.Stats.Bulk != 1 || len(m.pipes) != 2 || len(m.tcp.pipes) != 1 {
		t.Errorf("%d times bulk, %d ends of pipes, %d pipes not in use", m.tcp.Stats.Bulk, len(m.pipes), len(m.tcp.pipes))
	}
}

func TestStaleEvent(t *testing.T) {
	m := open(t)
	old := m.refs[fdClient]
	m.socks[fdClient].err = syscall.ECONNRESET
	m.event(fdClient, sock.In)
	m.socks[fdClient] = &fakeSock{room: 1 << 30}
	m.accept(false)
	m.tcp.Event(old, sock.In|sock.Err, m.now)
	m.event(fdServer, sock.Out)
	if m.tcp.Len() != 1 {
		t.Error("an event of an old connection ended a new one")
	}
}

func TestNoAllocation(t *testing.T) {
	m := open(t)
	b, big := []byte("x"), pattern(256<<10)
	for _, data := range [][]byte{b, big} {
		if n := testing.AllocsPerRun(100, func() {
			m.socks[fdClient].in = data
			m.event(fdClient, sock.In|sock.RdHup)
			m.socks[fdServer].out.Reset()
		}); n > 8 { // those of the fakes
			t.Errorf("%v allocations for %d bytes", n, len(data))
		}
	}
}

func BenchmarkSmall(b *testing.B) {
	m := open(&testing.T{})
	b.ReportAllocs()
	data := []byte("x")
	for b.Loop() {
		m.socks[fdClient].in = data
		m.event(fdClient, sock.In)
		m.socks[fdServer].out.Reset()
	}
}
