package sock

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"passt/l3/inet"
	"passt/link/sys"
)

// TestBound compares both ways to list bound sockets with sockets that are there.
func TestBound(t *testing.T) {
	tcp4, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp4.Close()
	udp4, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp4.Close()
	connected, err := net.Dial("udp4", udp4.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	established, err := net.Dial("tcp4", tcp4.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer established.Close()
	dual, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer dual.Close()

	for _, way := range []string{"sock_diag", "/proc"} {
		t.Run(way, func(t *testing.T) {
			tables, err := OpenTables()
			if err != nil {
				t.Fatal(err)
			}
			if way == "/proc" {
				if tables.diag >= 0 {
					sys.Close(tables.diag)
					tables.diag = -1
				}
				for i, n := range procNames {
					if tables.proc[i], err = unix.Open("/proc/thread-self/net/"+n, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
						t.Fatal(err)
					}
				}
			} else if tables.diag < 0 {
				t.Skip("not on this system")
			}
			defer tables.Close()
			for range 2 { // from the beginning again
				seen := list(t, tables, unix.IPPROTO_TCP)
				if d, ok := seen[tcp4.Addr().String()]; !ok || d {
					t.Errorf("TCP: %v", seen)
				}
				if _, ok := seen[established.LocalAddr().String()]; ok {
					t.Error("an established connection is listed")
				}
				if d := seen[inet.Endpoint{Port: uint16(dual.Addr().(*net.TCPAddr).Port)}.String()]; !d {
					t.Errorf("TCP, both IP versions: %v", seen)
				}
				seen = list(t, tables, unix.IPPROTO_UDP)
				if d, ok := seen[udp4.LocalAddr().String()]; !ok || d {
					t.Errorf("UDP: %v", seen)
				}
				if _, ok := seen[connected.LocalAddr().String()]; ok {
					t.Error("a connected UDP socket is listed")
				}
			}
		})
	}
}

func list(t *testing.T, tables *Tables, proto uint8) map[string]bool {
	seen := map[string]bool{}
	if err := tables.Bound(proto, func(at inet.Endpoint, dual bool) { seen[at.String()] = dual }); err != nil {
		t.Fatal(err)
	}
	return seen
}

func FuzzProcSocket(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1"))
	f.Add([]byte("   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A"))
	f.Add([]byte("  sl  local_address rem_address   st"))
	f.Fuzz(func(t *testing.T, line []byte) { procSocket(line) })
}

func FuzzDiagReplies(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add(append([]byte{88, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0}, make([]byte, diagReplyLen)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		tables := Tables{seq: 1}
		_, _ = tables.replies(b, func(inet.Endpoint, bool) {})
	})
}
