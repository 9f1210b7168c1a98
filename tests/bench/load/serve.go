package load

// The server. The first byte of a TCP connection says what its client wants. Over UDP, the
// first byte of each datagram does; datagrams to be counted carry a number after it, that of
// their stream, so that stragglers of one don't count for the next.

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// What clients want.
const (
	wantCount  = 'c' // count what comes, until its end, and tell
	wantFlood  = 'f' // send, until the client closes
	wantEcho   = 'e' // send everything back
	wantAdd    = 'a' // UDP: add this datagram to the count of its stream
	wantResult = 'r' // UDP: tell the count of this stream
)

// tagLen is the length of what a datagram to be counted begins with: wantAdd or wantResult
// and the number of the stream.
const tagLen = 1 + 8

// serve serves TCP and UDP at addr.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	go serveDatagrams(p)
	for {
		c, err := l.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors: others will be closed
			continue
		}
		go serveConn(c)
	}
}

func serveConn(c net.Conn) {
	defer c.Close()
	var want [1]byte
	if _, err := io.ReadFull(c, want[:]); err != nil {
		return
	}
	switch want[0] {
	case wantCount:
		var n uint64
		b := make([]byte, chunk)
		for {
			r, err := c.Read(b)
			n += uint64(r)
			if err != nil {
				break
			}
		}
		c.Write(binary.BigEndian.AppendUint64(nil, n))
	case wantFlood:
		b := make([]byte, chunk)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	case wantEcho:
		b := make([]byte, 4096)
		for {
			r, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := c.Write(b[:r]); err != nil {
				return
			}
		}
	}
}

func serveDatagrams(p net.PacketConn) {
	counts := make(map[uint64]uint64) // bytes of each stream
	b := make([]byte, 1<<16)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		switch {
		case n >= tagLen && b[0] == wantAdd:
			counts[binary.BigEndian.Uint64(b[1:])] += uint64(n)
		case n == tagLen && b[0] == wantResult:
			id := binary.BigEndian.Uint64(b[1:])
			p.WriteTo(binary.BigEndian.AppendUint64(b[:tagLen:tagLen], counts[id]), from)
		default:
			p.WriteTo(b[:n], from)
		}
	}
}
