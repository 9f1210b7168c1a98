package guest

// Both ends of the transfers: servers that run in P, H and every guest, and clients that tests
// call directly, or in a guest by way of the program "tool".

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"passt/tests/world"
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

// serveAll starts the servers on every address of the network namespace that the caller is
// in. They stay until the end of the process.
func serveAll(port int) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	for i, handle := range []func(net.Conn){answerExchange, sayWho, hold} {
		l, err := lc.Listen(context.Background(), "tcp", world.Endpoint("", port+i))
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
	c, err := lc.ListenPacket(context.Background(), "udp", world.Endpoint("", port))
	if err != nil {
		return err
	}
	go world.EchoUDP(c)
	return nil
}

// answerExchange answers one exchange in time.
func answerExchange(c net.Conn) {
	c.SetDeadline(time.Now().Add(transferTime))
	world.AnswerExchange(c)
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

// askEcho has datagrams of growing size echoed, each sent up to three times.
func askEcho(c net.Conn, size int) error {
	buf := make([]byte, 1<<16)
	for i, n := range []int{1, 1000, size} {
		data := world.Pattern(byte(i), n)
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

// ask is an exchange or askEcho.
func ask(c net.Conn, network string, size int) error {
	if network == "udp" {
		return askEcho(c, size)
	}
	c.SetDeadline(time.Now().Add(transferTime))
	return world.AskExchange(c, size)
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
		if err := serveAll(port); err != nil {
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
