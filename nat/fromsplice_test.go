package nat

import "testing"

func TestFromSplice(t *testing.T) {
	toLoopback := with(func(c *Config) { c.SpliceToLoopback = true })
	seen := &Observed{V4: addr("192.0.2.77"), LinkLocal: addr("fe80::77")}
	for _, tt := range []struct {
		name   string
		config Config
		out    bool
		v4     bool
		to     string
		obs    *Observed
		want   string
	}{
		{"into the guest, IPv4", usual(), false, true, ":80", &Observed{}, "192.0.2.10:80"},
		{"into the guest, IPv6", usual(), false, false, ":80", &Observed{}, "[2001:db8::10]:80"},
		{"into the guest, by the address it uses", usual(), false, true, ":80", seen, "192.0.2.77:80"},
		{"into the guest, no global address", local, false, false, ":80", &Observed{}, "[::1]:80"},
		{"into the guest, link-local address only", local, false, false, ":80", seen, "[::1]:80"},
		{"to the guest's loopback, IPv4", toLoopback, false, true, ":80", seen, "127.0.0.1:80"},
		{"to the guest's loopback, IPv6", toLoopback, false, false, ":80", seen, "[::1]:80"},
		{"to an address behind the guest", toLoopback, false, true, "10.0.0.9:80", seen, "10.0.0.9:80"},
		{"out, IPv4", usual(), true, true, ":80", seen, "127.0.0.1:80"},
		{"out, IPv6", usual(), true, false, ":80", seen, "[::1]:80"},
		{"out, to an address", usual(), true, true, "192.0.2.99:80", seen, "192.0.2.99:80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := New(tt.config).FromSplice(tt.out, tt.v4, ep(tt.to), tt.obs); got != ep(tt.want) {
				t.Errorf("got %v, want %v", got, ep(tt.want))
			}
		})
	}
}
