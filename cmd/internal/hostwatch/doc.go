// Package hostwatch notices when the host's network, or its name servers, may be different
// from before, and waits until the change is over.
//
// The start stage of the process opens a Watch before it looks at the host for the first
// time, so that nothing is missed in between, and then runs Follow for as long as it lives.
// What has changed, if anything, the caller finds out: package hostinfo looks, and decides.
// No layer below cmd may import this package, and it imports none of the project's.
package hostwatch
