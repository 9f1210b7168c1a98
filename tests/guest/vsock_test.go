package guest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// What the guest of TestVSock, in the part of the host, has on its interface.
const (
	vsockV4, vsockRouterV4 = "192.0.2.2", "192.0.2.1"
	vsockV6, vsockRouterV6 = "2001:db8:1::2", "2001:db8:1::1"
)

// TestVSock has both ends of a vsock in one guest, connected by the loopback of its kernel: the
// guest plays the host, and a network namespace of it plays the guest.
//
//	"passt guest" in a namespace -- vsock -- "passt --vsock" -- dummy0, which leads nowhere
func TestVSock(t *testing.T) {
	v := boot(t, "", nil)
	v.sh(t, 10*time.Second, strings.Join([]string{
		"set -e",
		"echo 0 >/proc/sys/net/ipv6/conf/dummy0/accept_dad",
		"ip addr add " + vsockV4 + "/24 dev dummy0",
		"ip -6 addr add " + vsockV6 + "/64 dev dummy0",
		"ip link set dummy0 up",
		"ip route add default via " + vsockRouterV4 + " dev dummy0",
		"ip -6 route add default via " + vsockRouterV6 + " dev dummy0",
		"echo nameserver " + vsockRouterV4 + " >/etc/resolv.conf",
		"echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range",
	}, "\n"))
	in := startVSock(t, v)
	end := v.begin(5*time.Minute, `exec unshare -n sh -c "ip link set lo up; echo \$\$ >/tmp/end.pid; exec passt guest --vsock 1:5000 --config-net --ifname eth0"`)
	logOnFailure(t, v, "passt guest", "/tmp/end.pid", end)
	world.Eventually(t, 20*time.Second, func() error { return vsockUsable(v) })
	v.begin(5*time.Minute, fmt.Sprintf("exec nsenter -t $(cat /tmp/end.pid) -n tool serve %d", guestPort))
	t.Run("traffic", func(t *testing.T) { testVSockTraffic(t, v, 10<<20) })
	t.Run("another context", func(t *testing.T) { testStranger(t, v) })
	t.Run("passt restarted", func(t *testing.T) {
		v.sh(t, 5*time.Second, "kill $(cat /tmp/passt.pid)")
		select {
		case a := <-in:
			if a.Code != 0 {
				t.Errorf("passt ended with %d: %s", a.Code, a.Out)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("passt does not end")
		}
		startVSock(t, v)
		world.Eventually(t, 20*time.Second, func() error { return vsockUsable(v) })
		testVSockTraffic(t, v, 1<<20)
	})
}

// testStranger has a guest connect to a passt that waits for one of another context ID: it is
// turned away each time. Elsewhere the right one is served all the while.
func testStranger(t *testing.T, v *vm) {
	v.begin(5*time.Minute, "echo $$ >/tmp/other.pid; exec passt -f --chroot-fallback -t none -u none --vsock 4711:5001")
	v.begin(5*time.Minute, `exec unshare -n sh -c "echo \$\$ >/tmp/stranger.pid; exec passt guest --vsock 1:5001 --config-net --ifname eth0 --debug 2>/tmp/stranger"`)
	world.Eventually(t, 20*time.Second, func() error {
		out, err := v.try(5*time.Second, "cat /tmp/stranger")
		if err == nil && strings.Count(out, "the host closed the connection") < 2 {
			err = fmt.Errorf("it was not turned away twice: %s", out)
		}
		return err
	})
	testVSockTraffic(t, v, 100000)
	if out := v.sh(t, 5*time.Second, "kill $(cat /tmp/stranger.pid); kill $(cat /tmp/other.pid); cat /tmp/stranger"); strings.Contains(out, "got a lease") {
		t.Errorf("the stranger got a lease: %s", out)
	}
}

// startVSock starts passt in the guest. An initramfs allows no pivot_root().
func startVSock(t *testing.T, v *vm) <-chan answer {
	c := v.begin(5*time.Minute, fmt.Sprintf(
		"echo $$ >/tmp/passt.pid; exec passt -f --chroot-fallback -t 7100:%d -u 7100:%d --vsock 1:5000", guestPort, guestPort))
	logOnFailure(t, v, "passt", "/tmp/passt.pid", c)
	return c
}

// logOnFailure ends a process in the guest at the end of a failed test, and prints what it said.
func logOnFailure(t *testing.T, v *vm, name, pidFile string, c <-chan answer) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if _, err := v.try(5*time.Second, "kill $(cat "+pidFile+")"); err != nil {
			t.Log(err)
		}
		select {
		case a := <-c:
			t.Logf("%s (%d) printed:\n%s", name, a.Code, a.Out)
		case <-time.After(5 * time.Second):
			t.Logf("%s does not end, or its end was looked at", name)
		}
	})
}

// insideVSock runs a command in the namespace at the far end.
func insideVSock(v *vm, command string) (string, error) {
	return v.try(transferTime, "nsenter -t $(cat /tmp/end.pid) -n "+command)
}

// vsockUsable says what the namespace lacks.
func vsockUsable(v *vm) error {
	out, err := insideVSock(v, "ip addr show dev eth0")
	if err != nil {
		return err
	}
	if !strings.Contains(out, vsockV4+"/24") || !strings.Contains(out, "inet6 2001:db8:1:") || strings.Contains(out, "tentative") {
		return fmt.Errorf("eth0 is not configured:\n%s", out)
	}
	_, err = insideVSock(v, "ping -c 1 -W 1 "+vsockRouterV4)
	return err
}

// testVSockTraffic exchanges size bytes each way, both ways of connecting.
func testVSockTraffic(t *testing.T, v *vm, size int) {
	for _, addr := range []string{vsockRouterV4, vsockRouterV6} {
		for _, command := range []string{
			"ping -c 2 -W 2 " + addr,
			fmt.Sprintf("tool tcp %s %d %d", addr, guestPort, size),
			fmt.Sprintf("tool udp %s %d 60000", addr, guestPort),
		} {
			t.Run("out "+command, func(t *testing.T) {
				if _, err := insideVSock(v, command); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for _, addr := range []string{"127.0.0.1", "::1"} {
		for _, command := range []string{
			fmt.Sprintf("tool tcp %s 7100 %d", addr, size),
			fmt.Sprintf("tool udp %s 7100 60000", addr),
		} {
			t.Run("forwarded "+command, func(t *testing.T) { v.sh(t, transferTime, command) })
		}
	}
}
