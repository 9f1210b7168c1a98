package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

// attack is one kind of traffic that no honest program sends. make returns its i-th frame.
type attack struct {
	name  string
	count int
	make  func(j *injector, rnd *rand.Rand, i int) []byte
}

// randomBytes returns n random bytes.
func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// attacks is the table: parsers first, then resources.
var attacks = []attack{
	{"random frames", 3000, func(j *injector, r *rand.Rand, _ int) []byte { return randomBytes(r, 14+r.IntN(1500)) }},
	{"random IPv4 packets", 3000, func(j *injector, r *rand.Rand, _ int) []byte {
		return j.ether(etherIPv4, append([]byte{0x45}, randomBytes(r, 13+r.IntN(200))...))
	}},
	{"random IPv6 packets", 3000, func(j *injector, r *rand.Rand, _ int) []byte {
		return j.ether(etherIPv6, append([]byte{0x60}, randomBytes(r, 13+r.IntN(200))...))
	}},
	{"frames cut short", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		f := j.tcp(world.HostV4, world.PeerV4, 40000, 7999, 1, 1, flagACK, []byte{2, 4, 5, 180}, make([]byte, 50))
		if i%2 == 0 {
			f = j.udp(world.HostV6, world.PeerV6, 40000, 7999, make([]byte, 50))
		}
		return f[:14+r.IntN(len(f)-14)]
	}},
	{"IP lengths that lie", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		f, at := j.udp(world.HostV4, world.PeerV4, 40000, 7999, make([]byte, 50)), 14+2
		if i%2 == 0 {
			f, at = j.udp(world.HostV6, world.PeerV6, 40000, 7999, make([]byte, 50)), 14+4
		}
		binary.BigEndian.PutUint16(f[at:], uint16(r.Uint32()))
		return f
	}},
	{"UDP lengths that lie", 2000, func(j *injector, r *rand.Rand, i int) []byte {
		f := j.udp(world.HostV4, world.PeerV4, 40000, 7999, make([]byte, 50))
		binary.BigEndian.PutUint16(f[14+20+4:], uint16(r.Uint32()))
		return f
	}},
	{"TCP options that lie", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		opts := randomBytes(r, 4*r.IntN(11))
		if i%3 == 0 {
			opts = []byte{2, 4, 0, 0, 3, 3, 255, 2, 0, 2, 1, 3, 200}
		}
		return j.tcp(world.HostV4, world.PeerV4, uint16(20000+i), 7999, r.Uint32(), 0, flagSYN, opts, nil)
	}},
	{"TCP header lengths and flags", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		f := j.tcp(world.HostV4, world.PeerV4, uint16(30000+i%100), 7999, r.Uint32(), r.Uint32(), byte(r.Uint32()), nil, randomBytes(r, r.IntN(100)))
		if i%2 == 0 {
			f[14+20+12] = byte(r.Uint32())
		}
		return f
	}},
	{"IPv6 extension headers", 2000, func(j *injector, r *rand.Rand, i int) []byte {
		ext := randomBytes(r, 8*(1+r.IntN(10)))
		return j.ip(world.HostV6, world.PeerV6, []byte{0, 43, 44, 60, 51, 135}[i%6], ext)
	}},
	{"fragments", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		f := j.udp(world.HostV4, world.PeerV4, 40000, 7999, make([]byte, 64))
		binary.BigEndian.PutUint16(f[14+4:], uint16(i))
		binary.BigEndian.PutUint16(f[14+6:], uint16(r.Uint32())|0x2000)
		binary.BigEndian.PutUint16(f[14+10:], 0)
		binary.BigEndian.PutUint16(f[14+10:], fold(sum(f[14:34], 0)))
		return f
	}},
	{"forged sources", 3000, func(j *injector, r *rand.Rand, i int) []byte {
		return j.udp(fmt.Sprintf("203.0.%d.%d", i>>8&255, i&255), world.PeerV4, uint16(i+1), 7999, []byte("x"))
	}},
	{"UDP to every port", 30000, func(j *injector, _ *rand.Rand, i int) []byte {
		return j.udp(world.HostV4, world.PeerV4, uint16(i+1), uint16(65000-i), []byte("x"))
	}},
	{"UDP v6 to every port", 30000, func(j *injector, _ *rand.Rand, i int) []byte {
		return j.udp(world.HostV6, world.PeerV6, uint16(i+1), uint16(65000-i), []byte("x"))
	}},
	{"SYN to where nobody answers", 4000, func(j *injector, r *rand.Rand, i int) []byte {
		return j.tcp(world.HostV4, world.HoleV4, uint16(10000+i), 80, r.Uint32(), 0, flagSYN, []byte{2, 4, 5, 180}, nil)
	}},
	{"SYN to a closed port", 4000, func(j *injector, r *rand.Rand, i int) []byte {
		return j.tcp(world.HostV6, world.PeerV6, uint16(10000+i), 9, r.Uint32(), 0, flagSYN, nil, nil)
	}},
	{"echo requests with changing identifiers", 20000, func(j *injector, _ *rand.Rand, i int) []byte {
		if i%2 == 0 {
			return j.echo(world.HostV6, world.PeerV6, uint16(i), 1)
		}
		return j.echo(world.HostV4, world.PeerV4, uint16(i), 1)
	}},
	{"ARP requests", 10000, func(j *injector, _ *rand.Rand, i int) []byte {
		return j.arp(world.HostV4, fmt.Sprintf("198.51.%d.%d", i>>8&255, i&255))
	}},
	{"Neighbour Solicitations", 10000, func(j *injector, _ *rand.Rand, i int) []byte {
		return j.solicitation(world.HostV6, fmt.Sprintf("2001:db8:9::%x", i+16))
	}},
	{"DHCP rubbish", 5000, func(j *injector, r *rand.Rand, _ int) []byte {
		b := append([]byte{1, 1, 6, 0}, randomBytes(r, 232)...)
		b = append(b, 0x63, 0x82, 0x53, 0x63, 53, 1, byte(r.IntN(9)))
		return j.udp("0.0.0.0", "255.255.255.255", 68, 67, append(b, randomBytes(r, r.IntN(300))...))
	}},
	{"DHCPv6 rubbish", 5000, func(j *injector, r *rand.Rand, i int) []byte {
		return j.udp("fe80::1234", "ff02::1:2", 546, 547, append([]byte{byte(i % 14)}, randomBytes(r, r.IntN(300))...))
	}},
	{"multicast", 5000, func(j *injector, r *rand.Rand, i int) []byte {
		return j.udp(world.HostV4, []string{"224.0.0.251", "239.255.255.250", "255.255.255.255", "198.51.100.255"}[i%4], 5353, 5353, []byte("x"))
	}},
}

func TestHostileFrames(t *testing.T) {
	needsPasta(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			in := start(t, "--config-net")
			j := newInjector(t, in)
			rnd := rand.New(rand.NewPCG(1, uint64(len(a.name)))) // the same frames every time
			flood := make(chan time.Duration, 1)
			go func() {
				begin := time.Now()
				for i := range a.count {
					j.send(a.make(j, rnd, i))
				}
				flood <- time.Since(begin)
			}()
			world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7800, 2<<20)
			select {
			case d := <-flood:
				t.Logf("%d frames in %v", a.count, d)
			case <-time.After(10 * time.Second):
				t.Fatal("the flood does not get through in 10 s")
			}
			// All is well at once afterwards, too.
			world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV6, 7800, 1<<20)
			world.Exchange(t, in.ns, world.Peer, "udp", world.PeerV4, 7800, 10000)
			if in.WaitEnd(0) {
				t.Fatalf("pasta ended: %v", in.Cmd.ProcessState)
			}
			if n := len(in.Log()); n > 64<<10 {
				t.Errorf("the log grew to %d bytes", n)
			}
			// An honest flow costs a descriptor or two; a thousand times that is what a flood should not be able to take for
			// long. The limit itself is what the process was given.
			if n, limit := descriptors(in.PID()), descriptorLimit(t); n > limit {
				t.Errorf("%d descriptors are open, of %d", n, limit)
			}
		})
	}
}

// TestSourcesThatCannotBe: nothing begins with a packet from an address that no host has, which
// nobody could be answered at.
func TestSourcesThatCannotBe(t *testing.T) {
	needsPasta(t)
	in := start(t, "--config-net")
	j, flows := newInjector(t, in), asker(t, in)
	world.ServeUDP(t, world.Peer, world.Endpoint("", 7820))
	world.ServeOn(t, world.Peer, world.Endpoint("", 7820), func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	for _, src := range []string{"0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "ff02::1", "255.255.255.255"} {
		dst := world.PeerV4
		if strings.Contains(src, ":") {
			dst = world.PeerV6
		}
		j.send(j.udp(src, dst, 4000, 7820, []byte("x")))
		j.send(j.tcp(src, dst, 4000, 7820, 1, 0, flagSYN, nil, nil))
		j.send(j.echo(src, dst, 4000, 1))
	}
	honest := path{"honest", in.ns, world.Peer, world.PeerV4}
	echo(t, honest, 7821, 100, 1) // sent last: what is before it has been looked at
	for _, f := range jsonFlows(t, flows("flows", "--json")) {
		if at, _, err := net.SplitHostPort(f.Guest); err != nil || at != world.HostV4 {
			t.Errorf("%s from %s to %s has begun", f.Protocol, f.Guest, f.Remote)
		}
	}
}

// descriptors counts what the process and its descendants have open, at most in one of them.
func descriptors(pid int) int {
	most := 0
	for _, p := range append([]int{pid}, descendants(pid)...) {
		if l, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p)); err == nil {
			most = max(most, len(l))
		}
	}
	return most
}

// descendants lists the processes that pid has started, and theirs.
func descendants(pid int) []int {
	var out []int
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for f := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}

// descriptorLimit is three quarters of the hard limit that a process started here has.
func descriptorLimit(t *testing.T) int {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return int(min(l.Max, 1<<20)) * 3 / 4
}

func TestFewDescriptors(t *testing.T) {
	// Out of descriptors, pasta answers (a reset will do) and recovers; it neither spins nor ends.
	needsPasta(t)
	in := startBy(t, []string{"sh", "-c", `ulimit -n 64 && exec "$@"`, "sh"}, "--config-net")
	world.ServeOn(t, world.Peer, world.Endpoint("", 7810), func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	var open []net.Conn
	failed := 0
	for range 100 {
		c, err := in.ns.Dial("tcp", world.Endpoint(world.PeerV4, 7810), time.Second)
		if err == nil {
			open = append(open, c)
			continue
		}
		if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("connection %d: %v, want a refusal", len(open)+failed+1, err)
		}
		if failed++; failed > 3 {
			break
		}
	}
	if failed == 0 {
		t.Error("64 descriptors were enough for 100 connections: the limit was not kept")
	}
	before := cpuTime(in.PID())
	time.Sleep(time.Second)
	if used := cpuTime(in.PID()) - before; used > 300*time.Millisecond {
		t.Errorf("%v of CPU in an idle second", used)
	}
	for _, c := range open {
		c.Close()
	}
	world.Eventually(t, 5*time.Second, func() error {
		c, err := in.ns.Dial("tcp", world.Endpoint(world.PeerV4, 7810), time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// cpuTime is what a process and its descendants have used.
func cpuTime(pid int) time.Duration {
	var total time.Duration
	for _, p := range append([]int{pid}, descendants(pid)...) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, s := range f[11:13] { // user and system time, in hundredths of a second
			n, _ := strconv.Atoi(s)
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}
