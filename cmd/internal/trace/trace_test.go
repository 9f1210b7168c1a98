package trace

import (
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"

	"passt/link"
	"passt/link/mem"
)

func TestLines(t *testing.T) {
	for _, tt := range []struct{ name, frame, want string }{
		{"TCP", "020000000001020000000002080045000028000040004006e6cf0a0000010a000002" + "9c400050000003e8000000075010020000000000", "from guest: TCP 10.0.0.1.40000 > 10.0.0.2.80 [.] seq 1000 ack 7 win 512 len 0"},
		{"UDP", "02000000000102000000000208004500001f0000400040110000" + "0a0000010a000002" + "9c400035000b0000616263", "from guest: UDP 10.0.0.1.40000 > 10.0.0.2.53 len 3"},
		{"ARP", "ffffffffffff02000000000208060001080006040001" + "020000000002" + "0a000001" + "000000000000" + "0a000002", "from guest: ARP who has 10.0.0.2? tell 10.0.0.1"},
		{"nonsense", "ffffffffffff020000000002" + "88cc" + "ff", "from guest: 15 bytes of Ethernet"},
		{"nothing", "ffff", "from guest: 2 bytes of "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			dev := mem.New(link.Caps{Batch: 4, Body: 100})
			d := New(dev, slog.New(slog.NewTextHandler(&out, nil)), slog.LevelInfo)
			dev.Inject(b, link.Meta{})
			if n, err := d.Recv(make([]link.Frame, 4)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("printed %swant    %s", out.String(), tt.want)
			}
		})
	}
}
