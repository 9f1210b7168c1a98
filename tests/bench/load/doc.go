// Package load generates the load of the end-to-end benchmark and answers it: a server that
// serves every mode at one address, and clients that measure for a while and return figures.
// The benchmark runs it as a process of its own in the namespace that it is about.
//
// Caller: the benchmark's main. Imports: nothing of the product.
package load
