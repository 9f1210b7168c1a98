// Package linktest is the suite of tests that every link.Device passes, back ends and
// decorators alike. The test file of a back end says how to make a device and the other
// end of its link, and calls Run.
//
// Imports: link and x/sys/unix, to wait for descriptors.
package linktest
