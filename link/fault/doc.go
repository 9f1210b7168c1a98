// Package fault is a decorator of a link.Device that goes wrong on purpose, by a script: it
// loses, doubles, swaps and damages frames, falls short, and closes in the middle. Tests of
// the layers above put it between them and a link in memory.
//
// Frames are copied on their way through, so it is not for speed. What a script holds back is
// delivered by later calls and not announced by FD: a test calls Recv whether FD is readable or not.
//
// Imports: link. Only tests import it.
package fault
