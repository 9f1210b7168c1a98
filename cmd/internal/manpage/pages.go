package manpage

import "passt/cmd/internal/conf"

// The prose of each page.

func (p *page) passt() {
	p.section("Name")
	p.line(`passt \- network connectivity for virtual machines, without privileges`)
	p.section("Synopsis")
	p.line(bold("passt") + " [" + italic("OPTION") + "]...")
	p.request("br")
	p.line(bold("passt") + " " + italic("COMMAND") + " [" + italic("ARG") + "]...")
	p.section("Description")
	p.text(`passt gives a virtual machine the network of the host. It is an ordinary process of an ordinary user: it reads
the Ethernet frames of the guest from a socket, and each TCP connection, UDP flow or ping of the guest becomes a socket
of the process on the host. No device, bridge or firewall rule of the host is needed or touched.

The guest gets the addresses, the routes, the name servers and the MTU that the host has, or those given on the command line,
by DHCP, DHCPv6, ARP and neighbour discovery, which are built in. Host and guest share their addresses: what the guest connects to
sees the host's. Ports of the host that are forwarded lead to the guest.

TCP passes through without a second TCP in between: no payload is kept by passt. What the guest sends is acknowledged once the
host's kernel has it, and what arrives for the guest stays in the host's socket until the guest has acknowledged it.

If its first word is one of the commands that passt help lists, passt runs that instead: passt-guest(1), passt-ports(1),
passt-flows(1) and passt-stats(1) have pages of their own. passt-run(1) takes the options below too, and passt run --pasta those of
pasta(1), which is the same program for network namespaces.`)
	p.options(conf.ModePasst)
	p.section("Exit status")
	p.tagged("0", `The guest has disconnected, with --one-off or --fd, or a signal asked passt to end. If it goes to the background, the
process that was started ends with 0 once everything is ready.`)
	p.tagged("1", "Anything else. Standard error says what.")
	p.notes("guest")
	p.section("Files")
	p.tagged(italic("/tmp/passt_1.socket")+" to "+italic("/tmp/passt_64.socket"), "Sockets for virtual machines, without --socket.")
	p.tagged(italic("/etc/resolv.conf"), "Name servers and search domains of the host.")
	p.section("Examples")
	p.text("A virtual machine with the host's network, and the host's port 2222 leading to its SSH server:")
	p.example(`
passt --socket /tmp/vm.socket -t 2222:22
qemu-system-x86_64 ... \
  -device virtio-net-pci,netdev=net0 \
  -netdev stream,id=net0,server=off,addr.type=unix,addr.path=/tmp/vm.socket`)
	p.text("All ports of the host that are free lead to the guest, but for those of 20000 to 20010:")
	p.example("passt -t ~20000-20010 -u all")
	p.seeAlso("pasta(1)", "qrap(1)", "passt-guest(1)", "passt-ports(1)", "passt-flows(1)", "passt-stats(1)", "qemu(1)", "ip(7)", "tcp(7)", "icmp(7)")
}

func (p *page) pasta() {
	p.section("Name")
	p.line(`pasta \- network connectivity for network namespaces, without privileges`)
	p.section("Synopsis")
	p.line(bold("pasta") + " [" + italic("OPTION") + "]... [" + italic("COMMAND") + " [" + italic("ARG") + "]...]")
	p.request("br")
	p.line(bold("pasta") + " [" + italic("OPTION") + "]... " + italic("PID"))
	p.request("br")
	p.line(bold("pasta") + " [" + italic("OPTION") + "]... " + bold("--netns") + " " + italic("PATH|NAME"))
	p.section("Description")
	p.text(`pasta gives a network namespace the network of the host. It is an ordinary process of an ordinary user: it makes a tap
device in the namespace, and each TCP connection, UDP flow or ping from inside becomes a socket of the process on the host.
No device, bridge or firewall rule of the host is needed or touched.

In its first form pasta makes new user, network, mount, PID, IPC and UTS namespaces, runs COMMAND in them or, without one, the user's
shell, and ends with it. The user is root inside, but gains nothing outside. In the other forms it joins a network namespace that
exists: that of a process, or one that has a path or a name known to ip-netns(8).

The namespace gets the addresses, the routes and the MTU of the host's interface, or those given on the command line: at once, with
--config-net, or when a client in it asks for them by DHCP, DHCPv6 or router solicitation. Host and namespace share their addresses:
what the namespace connects to sees the host's. Ports of the host that are forwarded lead into the namespace.

TCP passes through without a second TCP in between: no payload is kept by pasta. What the namespace sends is acknowledged once the
host's kernel has it, and what arrives for the namespace stays in the host's socket until the namespace has acknowledged it.`, "COMMAND")
	p.options(conf.ModePasta)
	p.section("Exit status")
	p.text(`With COMMAND, or the shell, it is the status of that, and 128 + N if it was ended by the signal N. Otherwise:`, "COMMAND")
	p.tagged("0", "The namespace is gone, or a signal asked pasta to end.")
	p.tagged("1", "Something failed. Standard error says what.")
	p.tagged("126, 127", "COMMAND can't be executed, or does not exist.", "COMMAND")
	p.notes("namespace")
	p.section("Files")
	p.tagged(italic("/dev/net/tun"), "The device that tap interfaces are made with. The user needs to be allowed to read and write it.")
	p.tagged(italic("/etc/resolv.conf"), "Name servers and search domains of the host.")
	p.section("Examples")
	p.text("A shell in a namespace that has the host's network:")
	p.example("pasta --config-net")
	p.text("A web server in a namespace, reached by port 8080 of the host:")
	p.example("pasta --config-net -t 8080:80 -- python3 -m http.server 80")
	p.text("The same, but only from the host itself:")
	p.example("pasta --config-net -t 127.0.0.1/8080:80 -- python3 -m http.server 80")
	p.text("A namespace with an address of its own choice, no way to the host's loopback, and IPv4 only:")
	p.example("pasta --config-net -4 -a 10.0.2.100/24 -g 10.0.2.2 --no-map-gw")
	p.text("What a program says on the network, for Wireshark:")
	p.example("pasta --config-net --pcap curl.pcap curl https://example.org/")
	p.seeAlso("passt(1)", "passt-ports(1)", "passt-flows(1)", "passt-stats(1)", "namespaces(7)", "user_namespaces(7)", "network_namespaces(7)", "ip-netns(8)", "unshare(1)", "icmp(7)")
}

func (p *page) qrap() {
	p.section("Name")
	p.line(`qrap \- connect QEMU versions before 7.2 to passt`)
	p.section("Synopsis")
	p.line(bold("qrap") + " [" + bold("--socket") + " " + italic("PATH") + "] " + italic("FD") + " " + italic("QEMU") + " [" + italic("ARG") + "]...")
	p.section("Description")
	p.text(`QEMU can connect to the socket of passt(1) by itself from version 7.2 on. Earlier ones take a connected socket that
they inherit. qrap connects to passt, passes the connection on as the descriptor FD, and executes QEMU with the arguments given,
among which is to be -netdev socket,fd=FD.`, "FD", "QEMU")
	p.section("Options")
	p.tagged(bold("-s")+", "+bold("--socket")+" "+italic("PATH"), `Connect to this socket. Without, it is the first of /tmp/passt_1.socket to
/tmp/passt_64.socket where a passt listens that has no guest yet.`)
	p.section("Exit status")
	p.text("That of QEMU; 1 if there is no socket to connect to or QEMU can't be executed.")
	p.section("Examples")
	p.example("passt\nqrap 5 qemu-system-x86_64 ... -netdev socket,fd=5,id=net0 -device virtio-net-pci,netdev=net0")
	p.seeAlso("passt(1)", "qemu(1)")
}
