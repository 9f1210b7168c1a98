// Package netns is about the guest's network namespace: it opens, joins and watches one that
// exists already, and sets up the network inside: loopback, and the tap interface with its
// MAC address, MTU, addresses and routes.
//
// The start stage of the process calls OpenTarget, the translator stage waits for the end
// with Watch.Wait. The stage that runs inside the namespace, with all capabilities there,
// calls Join if need be, and Configure once, on a thread in that namespace and after the tap
// was created. What to set was decided before, on the host's side, by package hostinfo.
// Creating the tap belongs to link/tap. No layer below cmd may import this package, and it
// must not import any of them.
package netns
