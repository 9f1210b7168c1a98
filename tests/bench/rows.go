package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"passt/tests/bench/load"
)

// A setup is what has to be running for a row.
type setup struct {
	guest bool // a stand-in guest behind passt, not a namespace behind pasta
	mtu   int  // of the tap, in bytes; 0: nothing needs to run
}

var (
	tapLarge   = setup{false, 65520}
	tapSmall   = setup{false, 1500}
	guestLarge = setup{true, 65520}
	guestSmall = setup{true, 1500}
	alone      = setup{}
)

// setups in the order in which they are measured.
var setups = []setup{tapLarge, tapSmall, guestLarge, guestSmall, alone}

func (s setup) String() string {
	switch {
	case s.mtu == 0:
		return "start"
	case s.guest:
		return fmt.Sprintf("passt, MTU %d", s.mtu)
	}
	return fmt.Sprintf("pasta, MTU %d", s.mtu)
}

// A place is where the clients of a load run.
type place int

const (
	within place = iota // behind the translator
	onHost
	atPeer
)

// row is a row of the table: one load, or what measures itself.
type row struct {
	name  string
	setup setup
	from  place
	mode  load.Mode
	addr  string // of the server; its port says whether it is behind the translator
	conns int
	size  int
}

// Modes of rows that are no load.
const (
	startMode  load.Mode = "start"
	memoryMode load.Mode = "memory"
)

// held is how many connections are open for the second figure of the row of memoryMode.
const held = 2000

const (
	toPeer     = peer4 + ":" + outerPort
	toPeer6    = "[" + peer6 + "]:" + outerPort
	toHost     = host4 + ":" + innerPort
	toLoopback = "127.0.0.1:" + innerPort
	toOutside  = "127.0.0.1:" + outerPort
)

// allRows are the rows in the order of the table. On their names: "in" is from the
// peer, "fwd" comes by a forwarded port, "lo" by the host's loopback and a forwarded port,
// "ns-lo" the other way round, "xN" is N connections at once.
var allRows = []row{
	{"out", tapLarge, within, load.Stream, toPeer, 1, 1},
	{"out6", tapLarge, within, load.Stream, toPeer6, 1, 1},
	{"out-x8", tapLarge, within, load.Stream, toPeer, 8, 1},
	{"in", tapLarge, within, load.Maerts, toPeer, 1, 1},
	{"in6", tapLarge, within, load.Maerts, toPeer6, 1, 1},
	{"in-x8", tapLarge, within, load.Maerts, toPeer, 8, 1},
	{"rr", tapLarge, within, load.Echo, toPeer, 1, 1},
	{"rr-x16", tapLarge, within, load.Echo, toPeer, 16, 1},
	{"crr", tapLarge, within, load.Connect, toPeer, 1, 1},
	{"udprr", tapLarge, within, load.Datagram, toPeer, 1, 1},
	{"udp1400", tapLarge, within, load.Datagrams, toPeer, 1, 1400},
	{"udp64k", tapLarge, within, load.Datagrams, toPeer, 1, 60000},
	{"fwd", tapLarge, atPeer, load.Stream, toHost, 1, 1},
	{"fwd-maerts", tapLarge, atPeer, load.Maerts, toHost, 1, 1},
	{"fwd-crr", tapLarge, atPeer, load.Connect, toHost, 1, 1},
	{"lo", tapLarge, onHost, load.Stream, toLoopback, 1, 1},
	{"lo-maerts", tapLarge, onHost, load.Maerts, toLoopback, 1, 1},
	{"lo-x8", tapLarge, onHost, load.Stream, toLoopback, 8, 1},
	{"lo-rr", tapLarge, onHost, load.Echo, toLoopback, 1, 1},
	{"lo-crr", tapLarge, onHost, load.Connect, toLoopback, 1, 1},
	{"lo-udprr", tapLarge, onHost, load.Datagram, toLoopback, 1, 1},
	{"ns-lo", tapLarge, within, load.Stream, toOutside, 1, 1},
	{"memory", tapLarge, within, memoryMode, toPeer, held, 1},
	{"out-1500", tapSmall, within, load.Stream, toPeer, 1, 1},
	{"in-1500", tapSmall, within, load.Maerts, toPeer, 1, 1},
	{"vm-out", guestLarge, within, load.Stream, toPeer, 1, 1},
	{"vm-in", guestLarge, within, load.Maerts, toPeer, 1, 1},
	{"vm-rr", guestLarge, within, load.Echo, toPeer, 1, 1},
	{"vm-out-1500", guestSmall, within, load.Stream, toPeer, 1, 1},
	{"vm-in-1500", guestSmall, within, load.Maerts, toPeer, 1, 1},
	{"startup", alone, onHost, startMode, "", 1, 1},
}

// load is what the row measures, once.
func (r row) load(c config) load.Config {
	return load.Config{Mode: r.mode, Addr: r.addr, Time: c.time, Conns: r.conns, Size: r.size}
}

// forwarded says whether the row needs a port that the translator forwards.
func (r row) forwarded() bool { return r.from != within || r.addr == toOutside }

func rowNames() (names []string) {
	for _, r := range allRows {
		names = append(names, r.name)
	}
	return names
}

// chooseRows returns the rows that match one of the patterns, in their own order.
func chooseRows(patterns []string) ([]row, error) {
	for _, p := range patterns {
		matches := func(name string) bool {
			ok, err := path.Match(p, name)
			return ok && err == nil
		}
		if !slices.ContainsFunc(rowNames(), matches) {
			return nil, fmt.Errorf("no row is called %q; there are: %s", p, strings.Join(rowNames(), " "))
		}
	}
	var rows []row
	for _, r := range allRows {
		if slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, r.name); return ok }) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("no rows")
	}
	return rows, nil
}
