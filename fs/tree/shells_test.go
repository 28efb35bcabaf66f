package tree

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"warren/kern/chans"
	"warren/mnt/fuse"
)

// show is cat for all shells: busybox has one that uses sendfile(2), which
// takes a file of size 0 on a mount for empty.
const show = `show() { while IFS= read -r line; do echo "$line"; done <"$1"; }`

// What shells do with channels through a mount. Each script's output is to be
// the text after it.
var shellScripts = []struct{ name, script, want string }{
	{"read loop", `
mkdir work
seq 1 300 >work/lines &
while read -r n; do
	echo "got $n"
	[ "$n" -lt 300 ] || break
done <work/lines | tail -n 1
wait
rmdir work && ls`, "got 300\nclone\nstat\n"},

	// awk cuts what it writes at 4096 bytes, in the middle of lines.
	{"awk writes lines", `
mkdir work; echo hangup on >work/ctl
awk 'BEGIN { for (i = 0; i < 5000; i++) print "line number", i }' >work/lines &
awk '$1 != "line" || $3 != NR - 1 || NF != 3 { print "wrong:", $0 } END { print NR }' <work/lines
wait`, "5000\n"},

	{"both ways on one descriptor", `
mkdir work
exec 3<>work/data
echo one >&3; echo two >&3
read -r a <&3; read -r b <&3
echo "$a $b"`, "one two\n"},

	{"two writers, one blocked", `
mkdir work; echo cap 1 >work/ctl
echo a >work/data
echo b >work/data & one=$!
echo c >work/data & two=$!
for i in 1 2 3; do dd if=work/data bs=64K count=1 2>/dev/null; done | sort
wait $one && wait $two && echo sent`, "a\nb\nc\nsent\n"},

	{"an interrupted writer", `
mkdir work; echo cap 0 >work/ctl
timeout -s INT 0.3 sh -c 'echo never >work/data' || echo interrupted
while grep -q 'writers 1' work/status; do :; done # a mount hears of a close a little later
grep -E '^(held|sent|writers)' work/status`, "interrupted\nheld 0\nwriters 0\nsent 0\n"},

	{"an interrupted reader", `
mkdir work
timeout -s INT 0.3 dd if=work/data count=1 2>/dev/null
echo kept >work/data
dd if=work/data bs=1K count=1 2>/dev/null`, "kept\n"},

	{"close", `
mkdir work; echo cap 2 >work/ctl
printf 'x\ny\n' >work/lines
echo close >work/ctl
sh -c 'echo z >work/data' 2>/dev/null || echo refused
show work/lines`, "refused\nx\ny\n"},

	{"clone", `
id=$(show clone)
echo message >$id/data
read -r text <$id/lines
echo "$id $text"
echo rm >$id/ctl; ls`, "0 message\nclone\nstat\n"},

	{"settings round trip", `
mkdir a b
printf 'cap 3\nmode publish\nhangup on\n' >a/ctl
show a/ctl >b/ctl
show b/ctl`, "mode publish\ncap 3\nhangup on\n"},
}

func needFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no FUSE: ", err)
	}
	f.Close()
}

func TestChansInShells(t *testing.T) {
	needFUSE(t)
	for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}} {
		t.Run(shell[len(shell)-1]+" of "+shell[0], func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Skip(err)
			}
			for _, s := range shellScripts {
				t.Run(s.name, func(t *testing.T) { runInMount(t, append(shell, "-c", show+`; cd "$0"`+s.script), s.want) })
			}
		})
	}
}

// runInMount runs a script in a new mount. The script goes there by itself: a
// process that serves a mount must never wait for it, as it would if it forked
// a child with a folder there.
func runInMount(t *testing.T, command []string, want string) {
	dir := t.TempDir()
	m, err := fuse.Mount(newChans(chans.NewSet(nil))(nil), dir, fuse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it is no measure: much else may run
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], dir)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil || out.String() != want {
		t.Errorf("%v; it wrote %q, want %q\n%s", err, out.String(), want, errs.String())
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
}

// TestRemovedOnceClosed closes a channel and removes it at once, on a machine
// that is busy: close(2) does not wait for the server, so the server must not
// overtake it.
func TestRemovedOnceClosed(t *testing.T) {
	needFUSE(t)
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	var done atomic.Bool
	defer done.Store(true)
	for range 2 * runtime.GOMAXPROCS(0) {
		go func() {
			for !done.Load() {
			}
		}()
	}
	runInMount(t, []string{"bash", "-ec", `cd "$0"; for ((i = 0; i < 400; i++)); do
		mkdir c; echo x >c/data; read -r <c/lines; echo rm >c/ctl
	done`}, "")
}
