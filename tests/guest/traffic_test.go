package guest

// Both ends of the transfers: servers that run in P, H and every guest, and clients that tests
// call directly, or in a guest by way of the program "tool".

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Each of these is the first of three ports: an exchange by TCP and an echo by UDP on the
// first, the client's address by TCP on the second, connections held open on the third.
const (
	guestPort = 7000
	peerPort  = 7010
	hostPort  = 7020
)

const (
	whoOffset  = 1
	holdOffset = 2
)

// transferTime is the longest that a transfer of 10 MB may take in an emulated guest, on a
// busy machine.
const transferTime = 40 * time.Second

// endpoint joins address and port.
func endpoint(addr string, port int) string { return net.JoinHostPort(addr, strconv.Itoa(port)) }

// serveAll starts the servers on every address, which stay until the end of the process.
func serveAll(listen func(string) (net.Listener, error), listenPacket func(string) (net.PacketConn, error), port int) error {
	for i, handle := range []func(net.Conn){answerExchange, sayWho, hold} {
		l, err := listen(endpoint("", port+i))
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					handle(c)
					c.Close()
				}()
			}
		}()
	}
	c, err := listenPacket(endpoint("", port))
	if err != nil {
		return err
	}
	go echoUDP(c)
	return nil
}

// sayWho tells the client the address that it is seen with.
func sayWho(c net.Conn) {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		io.WriteString(c, a.IP.String())
	}
}

// hold sends a byte each 100 ms, until the connection ends.
func hold(c net.Conn) {
	go io.Copy(io.Discard, c)
	for {
		if _, err := c.Write([]byte{'.'}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// echoUDP answers every datagram with itself until the socket is closed.
func echoUDP(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.WriteTo(buf[:n], from) // a lost answer is the client's to notice
		}
	}
}

// pattern returns n bytes that depend on seed, so that bytes lost, doubled, reordered or of
// another transfer change a digest.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{seed})
	src.Read(b) // never fails
	return b
}

// answerExchange is the server's half of an exchange: it reads a length and as many bytes,
// answers with the digest of what came and as many bytes of its own, and closes.
func answerExchange(c net.Conn) {
	c.SetDeadline(time.Now().Add(transferTime))
	length := make([]byte, 8)
	if _, err := io.ReadFull(c, length); err != nil {
		return
	}
	n := int64(binary.BigEndian.Uint64(length))
	h := sha256.New()
	if _, err := io.CopyN(h, c, n); err != nil {
		return
	}
	if _, err := c.Write(h.Sum(nil)); err != nil {
		return
	}
	c.Write(pattern(2, int(n))) // the client sees what is missing
}

// askExchange is the client's half: size bytes out, digest and size bytes back, then the
// end of the stream.
func askExchange(c net.Conn, size int) error {
	c.SetDeadline(time.Now().Add(transferTime))
	data := pattern(1, size)
	if _, err := c.Write(append(binary.BigEndian.AppendUint64(nil, uint64(size)), data...)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	digest := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, digest); err != nil {
		return fmt.Errorf("reading the digest: %w", err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(digest, want[:]) {
		return errors.New("the server got other bytes than were sent")
	}
	got, err := io.ReadAll(io.LimitReader(c, int64(size)+1))
	if err != nil {
		return fmt.Errorf("reading the answer, after %d bytes: %w", len(got), err)
	}
	if want := pattern(2, size); !bytes.Equal(got, want) {
		return fmt.Errorf("the answer of %d bytes differs from the %d bytes sent", len(got), len(want))
	}
	return nil
}

// askEcho has datagrams of growing size echoed, each sent up to three times.
func askEcho(c net.Conn, size int) error {
	buf := make([]byte, 1<<16)
	for i, n := range []int{1, 1000, size} {
		data := pattern(byte(i), n)
		for try := 0; ; try++ {
			if _, err := c.Write(data); err != nil {
				return fmt.Errorf("sending %d bytes: %w", n, err)
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			got, err := c.Read(buf)
			if err == nil && bytes.Equal(buf[:got], data) {
				break
			}
			if try == 2 {
				return fmt.Errorf("no echo of %d bytes: %d bytes, %w", n, got, err)
			}
		}
	}
	return nil
}

// ask is askExchange or askEcho.
func ask(c net.Conn, network string, size int) error {
	if network == "udp" {
		return askEcho(c, size)
	}
	return askExchange(c, size)
}

// runTool is a client in a guest, and returns its exit status:
//
//	tool tcp|udp ADDR PORT SIZE    exchange or echo of SIZE bytes
//	tool who ADDR PORT             prints which address the server sees
//	tool hold ADDR PORT            keeps a connection open until it breaks
//	tool serve PORT                the three servers, for a network namespace of the guest
func runTool(args []string) int {
	if err := tool(args); err != nil {
		fmt.Println("tool", strings.Join(args, " ")+":", err)
		return 1
	}
	return 0
}

func tool(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		port, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		err = serveAll(
			func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) },
			func(addr string) (net.PacketConn, error) { return net.ListenPacket("udp", addr) }, port)
		if err != nil {
			return err
		}
		select {} // until it is killed
	}
	if len(args) < 3 {
		return errors.New("not enough arguments")
	}
	network := args[0]
	if network != "udp" {
		network = "tcp"
	}
	c, err := net.DialTimeout(network, net.JoinHostPort(args[1], args[2]), 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	switch args[0] {
	case "who":
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.Copy(os.Stdout, c)
		return err
	case "hold":
		_, err = io.Copy(io.Discard, c)
		return err
	}
	size, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	return ask(c, network, size)
}
