// Package guest proves passt with real virtual machines: it runs the built binary as an
// ordinary user would, boots QEMU guests on it, and looks only at what a program inside the
// guest, the host and a peer on the network can see.
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
// The tests run with E2E=1 (against bin/passt of this checkout) or with PASST=PATH (against
// any binary with passt's command line); otherwise, or without a kernel or QEMU, they are
// passed over. GUEST_DIR=DIR takes the kernel from elsewhere.
//
// This package imports nothing of the product.
package guest
