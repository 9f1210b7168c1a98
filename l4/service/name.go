package service

// Domain names in their wire form (RFC 1035, sections 2.3.4 and 3.1).

import "strings"

const (
	maxLabel = 63
	maxName  = 255 // with the length bytes and the root's
)

// Labels takes apart a domain name in its usual text, with or without the last dot. ok is
// false if it is none: an empty or too long label, a byte that is not printable ASCII, or
// too long a name.
func Labels(name string) (labels []string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name)+2 > maxName {
		return nil, false
	}
	labels = strings.Split(name, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > maxLabel {
			return nil, false
		}
		for _, c := range []byte(l) {
			if c <= ' ' || c > '~' {
				return nil, false
			}
		}
	}
	return labels, true
}

// AppendName appends the wire form of name, without compression, to b. It returns b
// unchanged and false if name is not a domain name.
func AppendName(b []byte, name string) ([]byte, bool) {
	labels, ok := Labels(name)
	if !ok {
		return b, false
	}
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0), true
}
