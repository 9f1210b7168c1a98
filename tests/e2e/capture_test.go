package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passt/tests/world"
)

func TestCapture(t *testing.T) {
	needsPasta(t)
	world.Needs(t, "tshark", "ping")
	dir := world.ScratchDir(t)
	in := start(t, "--config-net", "-t", "7500", "--pcap", dir+"/cap")
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7200, 1<<20)
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV6, 7200, 1000)
	world.Exchange(t, world.Peer, in.ns, "tcp", world.HostV4, 7500, 1000)
	world.Exchange(t, in.ns, world.Peer, "udp", world.PeerV4, 7200, 5000)
	if _, err := in.ns.Run(5*time.Second, "ping", "-c1", "-W2", world.PeerV4); err != nil {
		t.Error(err)
	}
	if !in.Terminate(unix.SIGTERM, 2*time.Second) {
		t.Fatal("pasta does not end")
	}
	b, err := os.ReadFile(dir + "/cap")
	if err != nil {
		t.Fatal(err)
	}
	// tshark gives up its privileges; what it reads is not to depend on that.
	cmd := exec.Command("tshark", "-n", "-r", "-", "-T", "fields", "-E", "separator=,", "-e", "frame.len", "-e", "frame.time_epoch", "-e", "frame.protocols",
		"-e", "ip.src", "-e", "ip.dst", "-e", "_ws.malformed")
	cmd.Stdin = strings.NewReader(string(b))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "cut short") {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	count := make(map[string]int)
	var last float64
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		f := strings.Split(line, ",")
		if len(f) < 6 {
			t.Fatalf("tshark printed %q", line)
		}
		length, _ := strconv.Atoi(f[0])
		at, _ := strconv.ParseFloat(f[1], 64)
		if d := time.Since(time.Unix(int64(at), 0)); d < -time.Second || d > time.Minute {
			t.Fatalf("a frame of %v ago", d)
		}
		if at < last-0.001 {
			t.Errorf("a frame is %v s older than the one before it", last-at)
		}
		last = max(last, at)
		for _, proto := range []string{"ip:tcp", "ipv6:tcp", "ip:udp", "ip:icmp", "arp"} {
			if strings.Contains(f[2], "eth:ethertype:"+proto) {
				count[proto]++
			}
		}
		if length > 9000 {
			count["super-frame"]++
		}
		if f[3] == world.HostV4 && f[4] == world.PeerV4 {
			count["sent"]++
		}
		if f[3] == world.PeerV4 && f[4] == world.HostV4 {
			count["received"]++
		}
		if strings.Join(f[5:], "") != "" {
			t.Errorf("malformed: %s", line)
		}
	}
	for _, want := range []string{"ip:tcp", "ipv6:tcp", "ip:udp", "ip:icmp", "arp", "super-frame", "sent", "received"} {
		if count[want] == 0 {
			t.Errorf("no frame of kind %q among %v", want, count)
		}
	}
}

func TestCaptureOnFullDisk(t *testing.T) {
	// What fits is readable to its end, the log says why there is no more, and the network goes on.
	needsPasta(t)
	world.Needs(t, "tshark")
	dir := world.ScratchDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=777,size=1m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	in := start(t, "--config-net", "--pcap", dir+"/cap")
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7200, 4<<20)
	if log := in.Log(); !strings.Contains(log, "no space left on device") {
		t.Errorf("the log says nothing of the full disk:\n%s", log)
	}
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7200, 1000)
	if !in.Terminate(unix.SIGTERM, 2*time.Second) {
		t.Fatal("pasta does not end")
	}
	b, err := os.ReadFile(dir + "/cap")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-n", "-r", "-", "-T", "fields", "-e", "frame.len")
	cmd.Stdin = strings.NewReader(string(b))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "cut short") || strings.Count(string(out), "\n") < 10 || len(b) < 1<<19 {
		t.Errorf("a capture of %d bytes: %v\n%s", len(b), err, out)
	}
}

func TestCaptureAtSmallMTU(t *testing.T) {
	// Segmentation offload makes super-frames at any MTU: a capture has to stay readable.
	needsPasta(t)
	world.Needs(t, "tshark")
	dir := world.ScratchDir(t)
	in := start(t, "--config-net", "-m", "1500", "--pcap", dir+"/cap")
	world.Exchange(t, in.ns, world.Peer, "tcp", world.PeerV4, 7200, 1<<20)
	if !in.Terminate(unix.SIGTERM, 2*time.Second) {
		t.Fatal("pasta does not end")
	}
	b, err := os.ReadFile(dir + "/cap")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-n", "-r", "-", "-q", "-z", "io,stat,0,tcp.len>0")
	cmd.Stdin = strings.NewReader(string(b))
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "cut short") {
		t.Errorf("tshark: %v\n%s", err, out)
	}
}
