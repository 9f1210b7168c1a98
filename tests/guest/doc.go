// Package guest proves passt with real virtual machines, and with stand-ins for some: it runs
// the built binary as an ordinary user would, boots QEMU guests on it, and looks only at what
// a program inside the guest, the host and a peer on the network can see.
//
// Nothing of the machine's own network is touched: the tests run in namespaces of their own,
// which package world makes, with this in them:
//
//	guest (QEMU, software emulation) -- UNIX socket -- passt in H (the "host") -- veth -- P (a peer and router)
//
// The guest is Debian's cloud kernel, unpacked under out/guest by "make guest-kernel", with
// an initramfs made here of busybox, the modules needed, DHCP clients of this machine with
// their libraries, the product, and this test binary itself. In the guest it is the first
// process, and runs what the tests ask for over a virtio serial port (agent_test.go); under
// the name "tool" it is both ends of the transfers (traffic_test.go). The guest's network is
// left to the tests.
//
// A stand-in (standin_test.go) is a network namespace that a tap, or "passt guest" in it,
// connects to passt in the way of a monitor that there is none of here: Firecracker, Cloud
// Hypervisor, libkrun.
//
// The tests run with E2E=1 (against bin/passt of this checkout) or with PASST=PATH (against
// any binary with passt's command line); otherwise they are passed over. Without a kernel or
// QEMU, those with real guests are. GUEST_DIR=DIR takes the kernel from elsewhere.
//
// This package imports nothing of the product.
package guest
