// Package flow is the table of flows of one kind: a hash index over a slab of fixed-size
// entries without pointers of its own, so that the garbage collector has nothing to look
// at and an entry never moves.
//
// The translators of l4 keep one table each, for each worker. It imports l3/inet only.
package flow
