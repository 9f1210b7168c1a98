// Package fwd forwards ports of the host to the guest: it binds the sockets that rules ask
// for, and accepts connections on them.
//
// The engine opens the rules at its start and gives bound UDP sockets to package udp; this
// package accepts TCP connections and gives them to package tcp. It imports sock, nat's
// port specifications and l3/inet, never tcp or udp.
package fwd
