// Package inet holds internet addresses as the data path keeps them: of fixed size,
// comparable, and free of pointers, so that tables of them cost the garbage collector
// nothing. Package net/netip stays at the edges: configuration, text.
//
// It is a leaf, used by l3 and everything above it, and by package nat.
package inet
