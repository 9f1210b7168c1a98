// Package sock is the host's side of the translators: sockets, made and used by plain
// numbers of descriptors so that flows stay free of pointers.
//
// The translators declare interfaces of what they need of it, and their tests put fakes
// in its place. It imports link/sys for the system calls, and nothing of the other layers
// but inet.
package sock
