package engine

import "passt/link"

// NoLink is the link of a guest that has none (--splice-only): nothing ever comes, and
// nothing can be sent.
type NoLink struct{ fd int }

var _ link.Device = (*NoLink)(nil)

// NewNoLink makes one of fd, a descriptor that never has anything to read. It belongs to the
// link.
func NewNoLink(fd int) *NoLink { return &NoLink{fd} }

// FD implements link.Device.
func (n *NoLink) FD() int { return n.fd }

// Caps implements link.Device.
func (n *NoLink) Caps() link.Caps { return link.Caps{Batch: 1, Body: 1 << 16} }

// Recv implements link.Device.
func (n *NoLink) Recv([]link.Frame) (int, error) { return 0, nil }

// Reserve implements link.Device.
func (n *NoLink) Reserve([]link.Slot, int) int { return 0 }

// Send implements link.Device.
func (n *NoLink) Send(s []link.Slot) (int, error) { return len(s), nil }

// Close implements link.Device.
func (n *NoLink) Close() error { return nil }
