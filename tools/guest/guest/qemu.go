package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// qemu is the emulator.
const qemu = "qemu-system-x86_64"

// cmdline is what every guest's kernel is told: a clock that is believed in
// software emulation, nothing that costs emulated time, and an end after a panic.
const cmdline = "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off"

// arguments returns QEMU's. Descriptor 3 is the control port, 4 the output.
func (o Options) arguments(k kernel, image string) []string {
	perNode := o.CPUs / o.Nodes
	args := []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-machine", "q35", "-cpu", "max", "-accel", "tcg,thread=multi",
		"-smp", fmt.Sprintf("%d,sockets=%d,cores=%d,threads=1", o.CPUs, o.Nodes, perNode),
		"-m", strconv.Itoa(o.Memory/o.Nodes*o.Nodes) + "M",
		"-kernel", k.image, "-initrd", image, "-append", strings.TrimSpace(cmdline + " " + o.Cmdline),
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=control,fd=3", "-device", "virtserialport,chardev=control,name=guest.control",
		"-chardev", "socket,id=output,fd=4", "-device", "virtserialport,chardev=output,name=guest.output",
	}
	for n := range o.Nodes {
		args = append(args,
			"-object", fmt.Sprintf("memory-backend-ram,id=mem%d,size=%dM", n, o.Memory/o.Nodes),
			"-numa", fmt.Sprintf("node,nodeid=%d,memdev=mem%d,cpus=%d-%d", n, n, n*perNode, (n+1)*perNode-1))
	}
	for i, name := range slices.Sorted(maps.Keys(o.Ports)) {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=port%d,path=%s", i, escape(o.Ports[name])),
			"-device", fmt.Sprintf("virtserialport,chardev=port%d,name=%s", i, escape(name)))
	}
	return append(args, o.QEMU...)
}

// escape makes a value of one of QEMU's options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// A machine is a guest that runs.
type machine struct {
	began   time.Time
	control *os.File
	output  *os.File
	text    tail
	console tail
	live    Patience
	result  Result
	done    bool // the script has ended

	stuck int // how often patience was over; the watcher's, until it has ended
}

// consoleTail is how much of the console is kept, in bytes.
const consoleTail = 16 << 10

// boot runs QEMU until the script has ended or nothing will come any more.
func (o Options) boot(ctx context.Context, k kernel, image string) (Result, error) {
	m := &machine{}
	m.text, m.console = tail{live: &m.live, next: o.Output}, tail{live: &m.live, most: consoleTail}
	running, end := context.WithCancel(ctx)
	defer end()
	cmd := exec.CommandContext(running, qemu, o.arguments(k, image)...)
	cmd.Stdout, cmd.Stderr = &m.console, &m.console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	theirs, err := m.sockets()
	if err != nil {
		return Result{}, err
	}
	cmd.ExtraFiles = theirs
	m.began = time.Now()
	exited, copied, watched := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() { exited <- runTied(cmd) }()
	go func() {
		_, err := io.Copy(&m.text, m.output)
		copied <- err
	}()
	go func() {
		defer close(watched)
		m.live.Watch(running.Done(), o.Patience, func() { m.tellStuck(o, end) })
	}()
	m.listen()
	end() // when the control port has nothing more to say, nor has the guest
	exit, copying := <-exited, <-copied
	<-watched
	m.control.Close()
	m.output.Close()
	m.result.Output, m.result.Console, m.result.Total = m.text.buf.String(), m.console.buf.String(), time.Since(m.began)
	if m.done {
		return m.result, copying
	}
	if m.stuck == o.mostStuck() {
		exit = fmt.Errorf("it printed nothing for %v, or what a busy machine makes of that", o.Patience)
	}
	return m.result, m.why(ctx, exit)
}

// mostStuck is how often the guest may be stuck before it is ended.
func (o Options) mostStuck() int {
	if o.Stuck == "" {
		return 1
	}
	return 3
}

// tellStuck has the first process run what tells what hangs, or ends the guest.
func (m *machine) tellStuck(o Options, end func()) {
	m.stuck++
	if m.stuck == o.mostStuck() {
		end()
		return
	}
	_, _ = fmt.Fprintln(m.control, "stuck") // fails only if the guest is gone
}

// sockets makes the pairs that QEMU gets an end of each.
func (m *machine) sockets() (theirs []*os.File, err error) {
	for _, ours := range []**os.File{&m.control, &m.output} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		*ours = os.NewFile(uintptr(pair[0]), "guest")
		theirs = append(theirs, os.NewFile(uintptr(pair[1]), "qemu"))
	}
	return theirs, nil
}

// runTied runs a command that ends with this process, and closes the files
// that it inherits. What Pdeathsig waits for is the end of the thread that forked.
func runTied(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// listen reads what the first process tells, to the end.
func (m *machine) listen() {
	lines := bufio.NewScanner(m.control)
	for !m.done && lines.Scan() {
		m.live.Progress()
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "script":
			m.result.Boot = time.Since(m.began)
		case "exit":
			var err error
			m.result.Status, err = strconv.Atoi(rest)
			m.done = err == nil
		}
	}
}

// why tells why a guest did not come to its script's end.
func (m *machine) why(ctx context.Context, exit error) error {
	state := "did not come to its script"
	if m.result.Boot > 0 {
		state = "did not come to its script's end"
	}
	if err := ctx.Err(); err != nil {
		exit = err
	}
	if exit == nil {
		exit = errors.New("it went down by itself")
	}
	return fmt.Errorf("the guest %s: %w; its console:\n%s", state, exit, m.result.Console)
}
