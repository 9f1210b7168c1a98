package tap

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"passt/link"
	"passt/link/sys"
)

// BenchmarkRecvPace is what Recv and the epoll_wait around it cost for each frame, beside a
// loop that reads until EAGAIN, which is pace with the largest budget.
func BenchmarkRecvPace(b *testing.B) {
	for _, burst := range []int{1, 2, 10, 64} {
		for _, c := range []struct {
			name  string
			fixed bool
		}{{"paced", false}, {"until empty", true}} {
			b.Run(fmt.Sprintf("burst=%d/%s", burst, c.name), func(b *testing.B) { recvBursts(b, burst, c.fixed) })
		}
	}
}

func recvBursts(b *testing.B, burst int, fixed bool) {
	devs, p := newTap(b, 1)
	d := devs[0]
	ep, err := sys.NewEpoll(4)
	must(b, err)
	defer ep.Close()
	ep.Add(d.FD(), 1, unix.EPOLLIN)
	ev, dst, f := make([]sys.Event, 4), make([]link.Frame, batch), plain(100, 1)
	msg := append(make([]byte, vnetHdrLen), f...)
	for i := 0; i < b.N; i += burst {
		b.StopTimer()
		for range burst {
			sys.Write(p.fd, msg)
		}
		b.StartTimer()
		for got := 0; ; {
			ep.Wait(ev)
			if fixed {
				d.pace.budget = batch + 1
			}
			n, err := d.Recv(dst)
			must(b, err)
			if got += n; got == burst {
				break
			}
		}
	}
}

// BenchmarkSend is a writev for each frame, with the guest's side of the stack in it.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{0, 1448, 65000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			devs, p := newTap(b, 1)
			unix.Close(p.fd) // nobody looks
			d := devs[0]
			s := make([]link.Slot, batch)
			b.SetBytes(int64(54 + size))
			b.ReportAllocs()
			for i := 0; i < b.N; {
				n := d.Reserve(s, size)
				for k := range s[:n] {
					s[k].Head, s[k].Len = s[k].Head[:copy(s[k].Head, plain54)], size
				}
				got, err := d.Send(s[:n])
				must(b, err)
				i += got
			}
		})
	}
}

var plain54 = plain(54, 1)
