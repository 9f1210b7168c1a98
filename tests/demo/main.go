package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	err := errors.New("usage: demo PASTA, then options for it")
	switch {
	case len(os.Args) == 3 && os.Args[1] == "-inside":
		err = inside(os.Args[2])
	case len(os.Args) >= 2:
		err = outside(os.Args[1], os.Args[2:])
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// outside serves the page and runs pasta, with options of the caller's, to its end.
func outside(pasta string, options []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from the host, to %s", r.RemoteAddr)
	}))
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	if st, err := os.Stat("/dev/net/tun"); err == nil && os.Geteuid() == 0 && st.Mode().Perm()&0o006 != 0o006 {
		options = append(options, "--runas", "0") // nobody, which root becomes, may not open it
	}
	args := slices.Concat([]string{"--config-net"}, options, []string{"--", self, "-inside", port})
	fmt.Println("$", pasta, strings.Join(args, " "))
	cmd := exec.Command(pasta, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// inside prints what there is in the namespace, uses it, and becomes a shell.
func inside(port string) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return err
		}
		fmt.Printf("%-8s MTU %-6d %v\n", i.Name, i.MTU, addrs)
	}
	gateway, err := defaultGateway()
	if err != nil {
		return err
	}
	fmt.Println("gateway  ", gateway)
	if ping, err := exec.LookPath("ping"); err == nil {
		cmd := exec.Command(ping, "-n", "-c", "1", "-W", "2", gateway.String())
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Println("ping:", err) // a host may forbid it
		}
	}
	url := "http://" + net.JoinHostPort(gateway.String(), port) + "/"
	begin := time.Now()
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("fetching a page from the host's loopback interface: %w", err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	fmt.Printf("%s answers in %v: %q\n", url, time.Since(begin).Round(time.Microsecond), page)
	return shell()
}

// shell replaces this process with the user's shell, if there is somebody to use it.
func shell() error {
	if fi, err := os.Stdin.Stat(); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	if _, err := os.Open("/dev/tty"); err != nil {
		return nil
	}
	path := os.Getenv("SHELL")
	if path == "" {
		path = "/bin/sh"
	}
	fmt.Println("this is a shell in the namespace; leave it with \"exit\"")
	return syscall.Exec(path, []string{path}, os.Environ())
}

// defaultGateway reads the IPv4 default route's gateway.
func defaultGateway() (netip.Addr, error) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return netip.Addr{}, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		// Interface, destination, gateway: hexadecimal, in the order of the machine's bytes.
		fields := strings.Fields(s.Text())
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(fields[2])
		if err != nil || len(b) != 4 {
			return netip.Addr{}, fmt.Errorf("a gateway of %q", fields[2])
		}
		slices.Reverse(b)
		return netip.AddrFrom4([4]byte(b)), nil
	}
	return netip.Addr{}, errors.New("no IPv4 default route in the namespace")
}
