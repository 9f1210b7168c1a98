// Package control is how a running instance is looked at and changed from outside: which
// ports it forwards, its flows, its counters.
//
// The translator stage serves two UNIX stream sockets, which the start stage makes before the
// sandbox closes, for the user who started the program only (mode 0600):
//
//   - one of our own in the folder of the user's instances (Folders), named after the number
//     of the process, speaks lines of JSON (json.go). The commands "passt ports", "passt
//     flows" and "passt stats" are its clients (Find, Call).
//   - the one at the path of --conf-path speaks the protocol of existing clients (wire.go).
//
// Each client has a goroutine of its own and a time limit, and what it sends has a bound, so
// that one which stalls or sends rubbish is in nobody's way; there are only so many at once.
// Changes are made one after the other, each all or nothing, on the rules that are in force
// at that moment, so that no client undoes what another one did.
//
// Package engine implements Instance; stage serves; main has the commands. Nothing here runs
// on a worker's thread. This package imports l4/fwd and nat/portspec, never engine or stage.
package control
