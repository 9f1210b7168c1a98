// Package userns starts this program again inside a user namespace that exists already.
//
// setns(2) with CLONE_NEWUSER fails in a process with threads, and a Go program has some
// from its start, so the one moment for it is between fork and execve, where there is one
// thread. os/exec and syscall.ForkExec can create namespaces there but not join one, which
// is why this package forks with system calls of its own. What it may do in the child is
// narrow: no allocation, no lock, no growth of the stack, only raw system calls on memory
// that was prepared before. That calls for unsafe and for the hooks of the Go runtime around
// fork, and both stay in here: next to package link/sys, this is the only package that may
// have them. It is no part of link/sys because it is about processes, and no layer has
// any use for it.
//
// Caller: package stage. It imports nothing of this program.
package userns
