// Package sandbox takes away from the translator what it does not need: the file system,
// capabilities, system calls, and ways to get privileges back.
//
// Caller: package stage, in the translator stage, once every file and socket of the host
// is open and the namespace stage has its own copy of the mount namespace.
//
// Imports: link/sys and the system's calls. No layer, no other package of cmd/internal.
package sandbox
