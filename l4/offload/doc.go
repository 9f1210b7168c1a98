// Package offload does in software what a link may leave undone (link.Meta), and what it can
// take: Cutter cuts a super-frame into the frames that it stands for, Finish completes a
// checksum, and Join finds frames that can become one super-frame. It is for whoever passes
// frames from a link with offloads to one without, and back, without being an end of their
// flows.
//
// All of it works on whole Ethernet frames in memory that the caller has borrowed from a
// device: headers are changed in place or copied, payload is neither.
//
// Caller: cmd/internal/guest. Imports: l3 for checksums, link for frames; none of the
// translators, which are ends of flows and never cut nor join.
package offload
