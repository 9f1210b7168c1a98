// Package engine puts the layers together and runs them: it makes the workers, binds the
// forwarded ports, fills the configuration of each layer from the command line and from
// what the host has, and drives everything from one epoll loop for each worker.
//
// The translator stage of package stage calls it. It is the only package that knows all
// layers; no layer knows it.
package engine
