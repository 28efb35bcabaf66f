package bench9

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Crowd is many connections to a server, each with one chain in flight.
type Crowd struct {
	t       Target
	epoll   int
	clients []*client
}

// crowdBuffer holds the replies that a connection of a crowd gets.
const crowdBuffer = 1 << 10

// OpenCrowd connects, one after the other.
func OpenCrowd(ctx context.Context, t Target, w Work, conns int) (*Crowd, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &Crowd{t: t, epoll: ep}
	for i := range conns {
		c, err := dial(ctx, t, crowdBuffer)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("connection %d: %w", i+1, err)
		}
		r.clients = append(r.clients, c)
		err = c.prepare(t, w, 1)
		if err == nil {
			err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(i)})
		}
		if err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close hangs up.
func (r *Crowd) Close() {
	for _, c := range r.clients {
		c.close()
	}
	unix.Close(r.epoll)
}

// Run does the work on all connections for a while, and returns how often it
// was done per second.
func (r *Crowd) Run(ctx context.Context, d time.Duration) (float64, error) {
	for _, c := range r.clients {
		defer c.until(ctx)()
	}
	begin := time.Now()
	for _, c := range r.clients {
		c.start()
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	open, more := len(r.clients), true
	events := make([]unix.EpollEvent, 128)
	for open > 0 {
		n, err := unix.EpollWait(r.epoll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return 0, err
		}
		for i := range max(n, 0) {
			c := r.clients[events[i].Fd]
			c.more = more
			if err := c.turn(); err != nil {
				return 0, fmt.Errorf("%s: connection %d: %w", r.t.Name, events[i].Fd+1, err)
			}
			open -= 1 - c.open
		}
		more = more && time.Since(begin) < d
	}
	rounds := 0
	for _, c := range r.clients {
		rounds += c.rounds
	}
	return float64(rounds) / time.Since(begin).Seconds(), nil
}

// turn takes what came and sends what comes next.
func (c *client) turn() error {
	if err := c.read(); err != nil {
		return err
	}
	if _, err := c.whole(c.step); err != nil {
		return err
	}
	return c.send()
}
