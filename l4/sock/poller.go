package sock

import "passt/link/sys"

// Epoll is the Poller of a worker.
type Epoll struct{ *sys.Epoll }

var _ Poller = Epoll{}

// Add implements Poller.
func (p Epoll) Add(fd int, ref Ref, events uint32) bool {
	return p.Epoll.Add(fd, uint64(ref), events) == 0
}

// Mod implements Poller.
func (p Epoll) Mod(fd int, ref Ref, events uint32) bool {
	return p.Epoll.Mod(fd, uint64(ref), events) == 0
}

// Del implements Poller.
func (p Epoll) Del(fd int) { p.Epoll.Del(fd) }
