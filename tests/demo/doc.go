// Command demo shows that a build works, for "make run": it serves a page on the host's
// loopback interface, runs pasta with itself as the command, prints from inside what the
// namespace looks like, fetches the page by way of the gateway's address, and leaves the
// user in a shell if there is a terminal.
//
// This package imports nothing of the product.
package main
