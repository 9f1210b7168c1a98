// Command bench measures passt and pasta end to end, side by side with other programs that
// do the same and with no translator at all:
//
//	go run ./tests/bench [FLAG]... [NAME=PATH]...
//
// PATH is a pasta or passt, which stand for each other if they are in one folder, a
// slirp4netns, or the word direct, for the same load without any translator: the ceiling.
// Without tools, it takes bin/pasta and what is installed. The first one is the base: of every
// figure the table shows the median of the rounds, and the median of the ratios to the base
// within each round, so that a machine whose speed drifts does not matter.
//
// It needs root, and runs in PID, mount and network namespaces of its own, so that the
// machine's network is never touched, and nothing is left however it ends:
//
//	N (the one that pasta makes)  - tap - H (the host) - veth - P (the peer)
//	G (the guest) - tap - passt guest - socket - H
//
// In N, the tap has an MTU of 65520 bytes, or of 1500 for some rows. G stands in for a virtual
// machine: "passt guest", always of this build, passes frames between a tap in it and the UNIX
// socket of the passt under test. Its TCP has cubic for congestion control, as a guest's kernel has
// by default. CPU time and memory are those of the translator alone, from
// /proc, without the load and without "passt guest".
//
// What fails or stalls is shown as such, within seconds, and never ends the run.
//
// Files: main.go and sandbox.go are the command line and the namespaces around everything;
// rows.go what is measured; tools.go and subject.go whom, and how it is started; network.go,
// process.go and procfs.go the means; measure.go the rounds; table.go and stats.go the output.
// The load is in package load, which runs as "bench load". Imports: nothing of the product.
package main
