package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// How often a log that has nothing new is looked at.
const (
	soonest = 5 * time.Millisecond
	latest  = 100 * time.Millisecond
)

// An output copies what a program prints. Its standard output comes as a
// stream; its standard error is a log, which is read where it has grown.
type output struct {
	outDone, errDone chan error
	ended            chan struct{} // the program is over: what is in the log is all
	cancel           func()
}

// output begins to copy the program's output to ours.
func (r *run) output(ctx context.Context) (*output, error) {
	follow, err := r.cl.Open(ctx, r.dir+"/follow", fs.ORead)
	if err != nil {
		return nil, pathError(ctx, r.cl, r.dir+"/follow", err)
	}
	log, err := r.cl.Open(ctx, r.dir+"/stderr", fs.ORead)
	if err != nil {
		follow.Close()
		return nil, pathError(ctx, r.cl, r.dir+"/stderr", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &output{
		outDone: make(chan error, 1), errDone: make(chan error, 1),
		ended: make(chan struct{}), cancel: cancel,
	}
	go func() {
		err := r.unread(ctx, copyFile(ctx, follow, os.Stdout))
		o.outDone <- errors.Join(err, follow.Close())
	}()
	go func() {
		err := r.unread(ctx, o.tail(ctx, log, os.Stderr))
		o.errDone <- errors.Join(err, log.Close())
	}()
	return o, nil
}

// unread tells the program, as a pipe would, that nobody reads what it prints.
// That is no failure of ours: what the program makes of it counts.
func (r *run) unread(ctx context.Context, err error) error {
	if !errors.Is(err, syscall.EPIPE) || errors.As(err, new(*sys.Error)) {
		return err
	}
	r.signal(ctx, syscall.SIGPIPE)
	return nil
}

// drain waits until all that the ended program printed is copied; of one that
// has not ended it copies no more.
func (o *output) drain(ended bool) error {
	defer o.cancel()
	if !ended {
		return nil
	}
	close(o.ended)
	return errors.Join(<-o.outDone, <-o.errDone)
}

// tail copies a growing log until the program has ended and all is copied.
func (o *output) tail(ctx context.Context, log *client.File, w io.Writer) error {
	buf := make([]byte, log.IOUnit())
	over := false
	for pause := soonest; ; {
		n, err := log.ReadContext(ctx, buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n > 0 {
			pause = soonest
			continue
		}
		if over {
			return nil
		}
		over = o.sleep(ctx, pause)
		pause = min(2*pause, latest)
	}
}

// sleep is true when the program has ended meanwhile.
func (o *output) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-o.ended:
	case <-ctx.Done():
	}
	return true
}
