// Package servicetest is a guest for tests of the services of l4: it sends datagrams and
// whole frames over a link in memory, through the real layers below, and takes the
// answers apart, checking every length and checksum in them.
//
// Only tests import it.
package servicetest
