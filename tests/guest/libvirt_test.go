package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// libvirt itself, as an ordinary user has it: the session daemon, which finds passt by PATH,
// and QEMU without KVM.

const domainXML = `<domain type='qemu'>
  <name>vm1</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>%[1]s</kernel>
    <initrd>%[2]s</initrd>
    <cmdline>%[3]s</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>%[4]s</emulator>
    <serial type='file'><source path='%[5]s/console'/></serial>
    <channel type='unix'>
      <source mode='connect' path='%[5]s/port'/>
      <target type='virtio' name='agent'/>
    </channel>
    <interface type='user'>
      <mac address='%[6]s'/>
      <model type='virtio'/>
      <backend type='passt' logFile='%[5]s/passt.log'/>
      <portForward proto='tcp'>
        <range start='7100' to='%[7]d'/>
        <range start='7110' end='7120'/>
        <range start='7112' end='7113' exclude='yes'/>
      </portForward>
      <portForward proto='udp' address='%[8]s'>
        <range start='7100' to='%[7]d'/>
      </portForward>
    </interface>
  </devices>
</domain>
`

// libvirt is a session daemon.
type libvirt struct {
	*world.Process
	env []string
}

// startLibvirt starts the daemon as the user, with a home of its own and passt first in PATH.
func startLibvirt(t *testing.T) *libvirt {
	t.Helper()
	daemon := "libvirtd"
	if world.MissingTool(daemon) != "" {
		daemon = "virtqemud" // the QEMU driver alone, of newer packages
	}
	world.Needs(t, daemon, "virsh")
	dir := world.ScratchDir(t)
	for _, d := range []string{"bin", "home", "run"} {
		if err := os.Mkdir(dir+"/"+d, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/"+d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(world.Binary, dir+"/bin/passt"); err != nil {
		t.Fatal(err)
	}
	l := &libvirt{env: []string{
		"HOME=" + dir + "/home", "XDG_CONFIG_HOME=" + dir + "/home/config", "XDG_CACHE_HOME=" + dir + "/home/cache", "XDG_RUNTIME_DIR=" + dir + "/run",
		"PATH=" + dir + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}}
	cmd := exec.Command(daemon)
	world.AsUser(cmd)
	cmd.Env = append(cmd.Env, l.env...)
	l.Process = world.StartProcess(t, world.Host, cmd, dir+"/log")
	world.Eventually(t, 30*time.Second, func() error {
		_, err := l.virsh(t, "version")
		return err
	})
	return l
}

// virsh runs a command of virsh.
func (l *libvirt) virsh(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///session"}, args...)...)
	world.AsUser(cmd)
	cmd.Env = append(cmd.Env, l.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("virsh %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func TestLibvirtDaemon(t *testing.T) {
	needsGuest(t)
	l := startLibvirt(t)
	v := newVM(t)
	// The user may not search the folders on the way to the original.
	image := v.dir + "/" + filepath.Base(kernel.image)
	if err := world.CopyFile(kernel.image, image); err != nil {
		t.Fatal(err)
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	xml := fmt.Sprintf(domainXML, image, initramfs, guestCmdline, qemu, v.dir, guestMAC, guestPort, world.HostV4)
	if err := os.WriteFile(v.dir+"/vm1.xml", []byte(xml), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.virsh(t, "define", v.dir+"/vm1.xml"); err != nil {
		if strings.Contains(err.Error(), "'passt'") {
			version, _ := l.virsh(t, "version", "--daemon")
			t.Skipf("this libvirt refuses the back end, as that of Debian 12 does, where a patch (Disable-passt-support) "+
				"takes it out of the parser only: %v; %s", err, strings.Join(strings.Fields(version), " "))
		}
		t.Fatal(err)
	}
	if _, err := l.virsh(t, "start", "vm1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.virsh(t, "destroy", "vm1") }) // fails if that was done before
	v.connect(t, l.Ended)
	configure(t, v)
	for _, command := range []string{
		"ping -c 2 -W 5 " + world.PeerV4,
		"ping -c 2 -W 5 " + world.PeerV6,
		fmt.Sprintf("tool tcp %s %d 1000000", world.PeerV4, peerPort),
		fmt.Sprintf("tool tcp %s %d 1000000", world.PeerV6, peerPort),
		fmt.Sprintf("tool udp %s %d 60000", world.PeerV4, peerPort),
		fmt.Sprintf("tool tcp %s %d 100000", world.GateV4, hostPort),
	} {
		if _, err := v.try(transferTime, command); err != nil {
			t.Error(err)
		}
	}
	for _, tc := range []struct{ network, addr string }{{"tcp", world.HostV4}, {"tcp", world.HostV6}, {"udp", world.HostV4}} {
		c, err := world.Peer.Dial(tc.network, world.Endpoint(tc.addr, 7100), 5*time.Second)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := ask(c, tc.network, 60000); err != nil {
			t.Errorf("forwarded %s: %v", tc.network, err)
		}
		c.Close()
	}
	refused(t, world.HostV4, 7112)
	if _, err := l.virsh(t, "destroy", "vm1"); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, 5*time.Second, func() error {
		l, err := world.Host.Listen(world.Endpoint("", 7100))
		if err == nil {
			l.Close()
		}
		return err
	})
	// The next one finds everything as the first did.
	for range 2 {
		if _, err := l.virsh(t, "start", "vm1"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.virsh(t, "destroy", "vm1"); err != nil {
			t.Fatal(err)
		}
	}
}
