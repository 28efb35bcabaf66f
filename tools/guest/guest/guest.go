// Package guest runs a script in a virtual machine: Debian's kernel with an
// image that holds warren, a small userland and whatever else is asked for,
// under QEMU's software emulation, which needs no rights and no KVM. It is for
// tests of what this machine cannot show: Linux's own 9P client, sixteen
// processors on two NUMA nodes, kernel parameters, processors that come and go.
//
// Run does it all in one call. The image (an initramfs) is made anew each time,
// which takes milliseconds; warren and the guest's first process
// (tools/guest/init) come from "go build" without cgo. There is no disk and no
// network but the guest's own loopback interface; the host's services are
// reached through virtio-serial ports (Options.Ports), which the guest's
// command relay makes into sockets.
//
// Nothing here goes by a fixed time, as the machine may be a busy one: a guest
// may take as long as it likes while it shows signs of life; see Options.Patience.
//
// The package keeps no state. QEMU is ended with the context, and with the
// process that called Run, however that ends.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Options say what to run, and on what machine. Only Script is needed.
type Options struct {
	// Script is run as /script, by root in /root. It is a shell script
	// unless it begins with #!.
	Script string

	CPUs   int // 0: 16
	Nodes  int // NUMA nodes, which must divide CPUs; 0: 2, or 1 if CPUs is odd
	Memory int // MiB; 0: 512

	Cmdline string   // more kernel parameters, as "nohz_full=1-15"
	Modules []string // more kernel modules, by name; loaded in order
	QEMU    []string // more arguments of QEMU

	Files    map[string][]byte // more files by path in the guest; all may be executed
	Programs []string          // programs of the host, which are copied with their shared libraries to the same path; sh is dash if that is among them, else busybox

	// Ports are virtio-serial ports: by name the path of a unix socket of
	// the host that somebody listens at, of 107 bytes at most.
	Ports map[string]string

	Output io.Writer // gets the output as it comes as well, from another goroutine

	// Patience is how long a guest may print nothing on an otherwise idle
	// machine; on a busy one it is as much longer as everything is (see type
	// Patience). 0: a minute. Then the shell script Stuck is run in the guest,
	// beside Script, to print what hangs and to end it; the third time, or the
	// first if there is no Stuck, the guest is ended.
	Patience time.Duration
	Stuck    string
}

// A Result is how a script went.
type Result struct {
	Output  string        // standard output and error
	Status  int           // exit status, 128 + N if signal N ended the script
	Boot    time.Duration // from the start of QEMU to the start of the script
	Total   time.Duration // from the start of QEMU to its end
	Console string        // the end of what kernel and QEMU printed
}

// ErrMissing is wrapped by errors that tell what is not installed here.
var ErrMissing = errors.New("no guest can be run here")

// Missing returns nil if guests can be run on this machine, else ErrMissing
// and what to do about it.
func Missing() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("%w: only on amd64", ErrMissing)
	}
	_, err := findKernel()
	want := []error{err}
	for program, pack := range map[string]string{qemu: "qemu-system-x86", "busybox": "busybox-static", "go": "golang"} {
		if _, err := findProgram(program); err != nil {
			want = append(want, fmt.Errorf("%s (as root: apt-get install %s)", program, pack))
		}
	}
	if err := errors.Join(want...); err != nil {
		return fmt.Errorf("%w: missing: %s", ErrMissing, strings.ReplaceAll(err.Error(), "\n", ", "))
	}
	return nil
}

// Run boots a guest, runs the script in it and ends it. A script that fails
// is no error: see Status. An error is a guest that did not come up or did not
// come to the script's end (the context's end among the reasons), and the
// result has what it had said until then.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := Missing(); err != nil {
		return Result{}, err
	}
	if err := o.fill(); err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	k, err := findKernel()
	if err != nil {
		return Result{}, err
	}
	image := filepath.Join(dir, "image")
	if err := writeImage(ctx, image, dir, k, o); err != nil {
		return Result{}, err
	}
	return o.boot(ctx, k, image)
}

// fill gives the options their defaults.
func (o *Options) fill() error {
	if o.CPUs == 0 {
		o.CPUs = 16
	}
	if o.Nodes == 0 {
		o.Nodes = 2 - o.CPUs%2
	}
	if o.Memory == 0 {
		o.Memory = 512
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	switch {
	case o.CPUs < 1 || o.Nodes < 1 || o.CPUs%o.Nodes != 0:
		return fmt.Errorf("%d processors on %d nodes: want as many on each", o.CPUs, o.Nodes)
	case o.Memory/o.Nodes < 64:
		return fmt.Errorf("%d MiB on %d nodes: want 64 on each at least", o.Memory, o.Nodes)
	}
	return nil
}

// A tail keeps the end of what is written to it, and passes it all on.
type tail struct {
	live *Patience // what is written is a sign of life; nil: nobody waits for one
	buf  bytes.Buffer
	most int // bytes to keep; 0: all
	next io.Writer
}

func (t *tail) Write(p []byte) (int, error) {
	if t.live != nil {
		t.live.Progress()
	}
	t.buf.Write(p)
	if over := t.buf.Len() - t.most; t.most > 0 && over > 0 {
		t.buf.Next(over)
	}
	if t.next != nil {
		return t.next.Write(p)
	}
	return len(p), nil
}
