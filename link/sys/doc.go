// Package sys is the only home of raw system calls and of unsafe on the data path: vectored
// reads and writes, messages in batches, and epoll.
//
// Its calls never block, except Epoll.Wait: they go straight to the kernel without telling
// the Go scheduler, which is right for descriptors in non-blocking mode and wrong for any
// other. Errors are syscall.Errno values, compared with ==, so that nothing is allocated.
//
// Callers: the back ends of package link, package l4/sock, and the engine.
package sys
