package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"passt/tests/world"
)

// Podman's rootless bridge networks: pasta is started once, for all containers, with a
// control socket, and told the ports of each container as it comes and goes. The test speaks
// the protocol by itself, as existing clients do.

// confRule is a rule on the wire: 56 bytes.
type confRule [56]byte

// newConfRule makes a rule for one port of the host; an invalid address is any.
func newConfRule(proto uint8, at netip.Addr, port, to uint16) (r confRule) {
	const dual = 1
	if at.IsValid() {
		a := at.As16()
		copy(r[:], a[:])
	} else {
		r[55] = dual
	}
	binary.BigEndian.PutUint16(r[48:], port)
	binary.BigEndian.PutUint16(r[50:], port)
	binary.BigEndian.PutUint16(r[52:], to)
	r[54] = proto
	return r
}

// confTable is a table of rules as the server says it.
type confTable struct {
	id    uint8
	name  string
	can   uint32
	rules []confRule
}

// confRead reads all that the server says first.
func confRead(r io.Reader) (tables []confTable, err error) {
	var hello [20]byte
	if _, err := io.ReadFull(r, hello[:]); err != nil {
		return nil, err
	}
	if want := []byte("basil:s\x00\x00\x00\x00\x02\x00\x00\x00\x80\x00\x00\x00\x10"); !bytes.Equal(hello[:], want) {
		return nil, fmt.Errorf("the server begins with %q, want %q", hello, want)
	}
	for {
		var id [1]byte
		if _, err := io.ReadFull(r, id[:]); err != nil {
			return nil, err
		}
		if id[0] == 0 {
			return tables, nil
		}
		var head struct {
			Name       [128]byte
			Can, Count uint32
		}
		if err := binary.Read(r, binary.BigEndian, &head); err != nil {
			return nil, err
		}
		name, _, _ := bytes.Cut(head.Name[:], []byte{0})
		t := confTable{id: id[0], name: string(name), can: head.Can, rules: make([]confRule, head.Count)}
		if err := binary.Read(r, binary.BigEndian, t.rules); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
}

// confChange changes the rules of the table HOST by change, and returns what they were. It
// returns once the server has made the change, which it says by closing.
func confChange(t *testing.T, path string, change func([]confRule) []confRule) []confRule {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	tables, err := confRead(c)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tables, func(t confTable) bool { return t.name == "HOST" })
	if i < 0 || !slices.ContainsFunc(tables, func(t confTable) bool { return t.name == "SPLICE" }) {
		t.Fatalf("tables %v, want HOST and SPLICE", tables)
	}
	const v4, v6, tcp, udp = 1, 2, 4, 8
	if tables[i].can&(v4|v6|tcp|udp) != v4|v6|tcp|udp {
		t.Errorf("HOST can %#x", tables[i].can)
	}
	old := tables[i].rules
	rules := change(slices.Clone(old))
	var b bytes.Buffer
	b.WriteByte(tables[i].id)
	binary.Write(&b, binary.BigEndian, uint32(len(rules))) // never fails
	binary.Write(&b, binary.BigEndian, rules)
	b.WriteByte(0)
	if _, err := c.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the server answers with %d bytes, %v, want the end", n, err)
	}
	return old
}

func TestPodmanBridge(t *testing.T) {
	needsPasta(t)
	serveDNS(t, world.PeerV4)
	for _, rootless := range []bool{true, false} {
		t.Run(fmt.Sprintf("rootless %v", rootless), func(t *testing.T) { podmanBridge(t, rootless) })
	}
}

func podmanBridge(t *testing.T, rootless bool) {
	const tcp, udp = 6, 17
	g, who := newTarget(t), root
	if rootless {
		who = g.inside()
	}
	netnsPath := g.bind(t)
	socket := world.ScratchDir(t) + "/pasta.sock"
	d := startDaemon(t, who, "--config-net", "--dns-forward", "169.254.1.1", "-t", "none", "-u", "none", "-T", "none", "-U", "none",
		"--no-map-gw", "--quiet", "--map-guest-addr", "169.254.1.2", "-c", socket, "--netns", netnsPath)
	if d.said.stdout+d.said.stderr != "" {
		t.Errorf("--quiet, and it printed %q and %q", d.said.stdout, d.said.stderr)
	}
	resolves(t, g.ns, "169.254.1.1")
	ports := []string{"-t", "8080-8080:80-80", "-u", "127.0.0.1/8081-8081:81-81"} // what the rules come to
	web := newConfRule(tcp, netip.Addr{}, 8080, 80)
	datagrams := newConfRule(udp, netip.MustParseAddr("127.0.0.1"), 8081, 81)

	// A container comes, and another one.
	if old := confChange(t, socket, func(r []confRule) []confRule { return append(r, web) }); len(old) != 0 {
		t.Errorf("rules at first: %v", old)
	}
	if old := confChange(t, socket, func(r []confRule) []confRule { return append(r, datagrams) }); !slices.Equal(old, []confRule{web}) {
		t.Errorf("rules %v, want %v", old, web)
	}
	published(t, g, ports, "")

	// A client that can't have what it wants changes nothing, and neither does one that only looks or goes away.
	taken := occupy(t, world.Host, "tcp", world.Endpoint("", 8082), "host")
	defer taken.Close()
	confChange(t, socket, func(r []confRule) []confRule { return append(r[:1], newConfRule(tcp, netip.Addr{}, 8082, 82)) })
	for range 3 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	both := []confRule{web, datagrams}
	if old := confChange(t, socket, func(r []confRule) []confRule { return r }); !slices.Equal(old, both) {
		t.Errorf("rules %v, want %v", old, both)
	}
	greets(t, world.Peer, "tcp", world.HostV4+":8080", "web")

	// The first container goes; connections of the second go on.
	if old := confChange(t, socket, func(r []confRule) []confRule { return slices.DeleteFunc(r, func(r confRule) bool { return r == web }) }); !slices.Equal(old, both) {
		t.Errorf("rules %v, want %v", old, both)
	}
	greets(t, world.Peer, "tcp", world.HostV4+":8080", "closed")
	greets(t, world.Host, "udp", "127.0.0.1:8081", "datagrams")
	d.leaves(g.unbind, 8080, 8081)
	if c, err := net.Dial("unix", socket); err == nil {
		c.Close()
		t.Error("somebody listens on the socket")
	} else if !errors.Is(err, os.ErrNotExist) {
		t.Logf("the socket is left behind: %v", err) // nobody is there any more who could remove it
	}
}
