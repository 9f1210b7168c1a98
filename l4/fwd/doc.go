// Package fwd forwards ports: it binds the sockets that rules ask for, on the host for the
// guest and in the guest's namespace for the host, follows the ports that are bound on the
// other side, and accepts connections.
//
// A Table holds the rules of an instance and can change while it runs: any goroutine may
// ask it to. Each worker has Ports, the listening TCP sockets of its epoll instance, which
// gives connections to package tcp or past the guest's link to package splice. The engine
// puts the two together, and gives bound UDP sockets to udp or splice. This package imports
// sock, nat's port specifications and l3/inet, never a translator.
package fwd
