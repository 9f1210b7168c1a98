// Package netns sets up the network inside the guest's namespace: loopback, and the tap
// interface with its MAC address, MTU, addresses and routes.
//
// The stage of the process that runs inside the namespace, with all capabilities there,
// calls Configure once, on a thread in that namespace and after the tap was created. What
// to set was decided before, on the host's side, by package hostinfo. Creating the tap
// belongs to link/tap. No layer below cmd may import this package, and it must not import
// any of them.
package netns
