package tree

import (
	"fmt"
	"strings"

	"warren/fs"
)

// A topic is a rule that holds for every file of the tree.
type topic struct{ name, text string }

// topics is the part of the manual that no table holds.
var topics = []topic{
	{"Text", "All files but mem are UTF-8 text, and every line ends in a newline. A status file is lines of a key and its values. " +
		"A table is a record a line, its fields separated by one blank, with no header; an absent value is \"-\"; a field of free text is one word, " +
		"in single quotes (doubled inside) if it needs them. New fields are only added at the end. Numbers are plain decimal integers in the unit that the key " +
		"names (_s, _us, _bytes); going in, suffixes are welcome (10ms, 64K). Times of records are Unix seconds with six decimals. Sets of cores are lists such as 0-3,8."},
	{"Kinds of file", "text: a read at offset 0 takes a snapshot, and reads at later offsets continue it, so no reader sees a torn table and a monitor may read at 0 again and again. " +
		"log: a growing file with its true size; end of file is at its present end. stream: each read returns one message and waits for one; not seekable. " +
		"ctl: see below. Walking, listing and looking at attributes has no side effects: only open, read and write act."},
	{"Control files", "Each line written to a ctl is a command: words separated by blanks, quoted as in rc(1). The offset, truncation and append flags are ignored. A write of " +
		"several lines is first checked whole, and nothing is done if a line is malformed; then the lines run in order, and a failure at a later line ends the write " +
		"short, so that the writer's next write gets the error. Blank lines and lines that begin with # are skipped. (bash's own echo and printf make a write of each line, so that each is checked by itself: cat saved >ctl is one write.) No command waits for what others must do. Reading a ctl prints the settings as commands: " +
		"cat ctl >saved; cat saved >ctl."},
	{"Errors", "A command that fails changes nothing and says what is wrong and what would be right. Where only a number reaches the caller (FUSE, 9P2000.L), the file " +
		"errors at the root holds the texts of the last 100 errors of each user, and the extended attribute user.warren.error of every file the text of the reader's last one: " +
		"getfattr -n user.warren.error FILE."},
	{"Streams", "A read returns at most one message; what a short buffer leaves stays for that open file. On 9P, an offset inside the message last delivered reads it again. " +
		"A wait can be cancelled (an interrupt, Tflush, a closed connection) and then takes nothing. With O_NONBLOCK, what would wait fails with EAGAIN. End of file " +
		"means that nothing will ever come."},
	{"Making and removing", "Opening clone makes an object with a number for a name, and the open file becomes its ctl: a read of it gives the name. mkdir makes an object with a name: 1 to 64 of " +
		"letters, digits, \".\", \"_\" and \"-\", not starting with \"-\" or \".\", and not all digits. rmdir removes it with all its files when it is idle. An object made by clone that has no " +
		"open file and was never used by name, started or kept goes after 60 seconds."},
	{"Rights", "An object belongs to the user who made it; chmod and chown work. Rights are those of the opener, checked at open. The user is who the socket's peer or the caller of the " +
		"mount is; a claimed name may only lower privilege. A connection with no identity is the user none, who may read what the world may read and nothing else. " +
		"Root, and whom root granted them with grant in sched/ctl, may claim and provision cores; a server that is not root grants all to its own user and runs programs only as itself."},
}

// bugs is where the tree does what a rule of the contract does not say.
var bugs = []string{
	"grep -r by the owner opens every file: it takes messages from channels and waits at streams.",
	"select(2) and poll(2) say that every file of a mount is always ready. O_NONBLOCK counts when it is given to open(2); set later it changes nothing.",
	"On a mount, files other than logs show a size of 4096, whatever they hold, as programs that splice take a file of size 0 for empty. Over 9P the size is 0. As with sysfs, programs that go by the size are wrong about them: cmp -s, diff -q, tar.",
	"Where the kernel is older than 6.16, a chmod that takes rights to a directory away may take ten seconds to be seen through a mount by those who were there before.",
	"A program that seeks back over what it read too much, as head -1 does, says so on a stream and fails, though it has printed its line: use read, or dd count=1.",
	"Settings of one object that together are longer than a write (128 KiB on a mount) do not come back with one cat saved >ctl: write them in pieces that end at newlines.",
	"close(2) on a mount returns before the server has heard of it.",
	"busybox's cat hands its output to sendfile(2). Into a pipe, Linux before 6.5 (with v9fs later kernels, too) holds the pipe while it waits for the next message: who reads the pipe gets each message with the next one. Use read, dd or GNU cat.",
	"Linux's v9fs forgets a signal, SIGKILL too, that comes at the moment in which a process begins to wait for an answer: a reader of a stream that is killed just then stays until the next message, and takes that with it. On a mount by FUSE every signal ends a wait.",
	"GNU tail -f waits for inotify, and so for ever, where Linux mounts 9P2000 or 9P2000.u: with 9P2000.L and FUSE it polls. Elsewhere follow does the same.",
	"Lending of provisioned cores and revocation with grace are not there yet: a provisioned core is kept for its holder, and grace and quantum are settings that nothing reads.",
	"The class quiet claims cores as exclusive does. The tier in status says what the cores really are.",
	"chans/NAME/shm is not there yet.",
	"Through srv/, directories can be made and files changed and removed, but no files made, renamed or linked, and symbolic links are not followed.",
	"Of other servers' files, those of no size that are named as streams of this tree are (data, lines, events, follow, wait, trace, stdin, mbox, note) are taken for streams.",
	"A way through srv/ that leads back here by way of a server that is not warren's is not noticed to be a loop.",
}

// appendHelp appends the manual as plain text.
func appendHelp(b []byte, dirs []fs.DirDoc) []byte {
	b = append(b, "warren: the machine as a tree of files\n"...)
	for _, d := range dirs {
		b = fmt.Appendf(b, "\n%s  %s\n", d.Name, d.Doc)
		for _, f := range d.Files {
			b = appendFileHelp(b, f)
		}
	}
	for _, t := range topics {
		b = fmt.Appendf(b, "\n%s\n", t.name)
		b = appendWrapped(b, "  ", t.text)
	}
	b = append(b, "\nBugs\n"...)
	for _, bug := range bugs {
		b = appendWrapped(b, "  ", bug)
	}
	return b
}

func appendFileHelp(b []byte, f fs.FileDoc) []byte {
	b = fmt.Appendf(b, "  %-10s %-9s %04o\n", f.Name, f.Kind, f.Perm)
	b = appendWrapped(b, "      ", f.Doc)
	if f.Format != "" {
		b = appendWrapped(b, "      ", "Fields: "+f.Format)
	}
	for _, v := range f.Verbs {
		b = appendWrapped(b, "      ", strings.TrimRight(v.Name+" "+v.Args, " ")+": "+v.Doc)
	}
	return b
}

// appendWrapped appends a paragraph in lines of at most 100 columns.
func appendWrapped(b []byte, indent, text string) []byte {
	const most = 100
	col := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case col == 0:
			b = append(b, indent...)
			col = len(indent)
		case col+1+len(word) > most:
			b = append(append(b, '\n'), indent...)
			col = len(indent)
		default:
			b = append(b, ' ')
			col++
		}
		b = append(b, word...)
		col += len(word)
	}
	return append(b, '\n')
}

// ManPage returns the manual page warren(4), in the man macros of troff.
// protocol is what it says of 9P, sections in the same macros.
func ManPage(protocol []byte) []byte {
	b := []byte(".\\\" Made from the tables of the tree by \"warren docs\". Do not edit.\n" +
		".TH WARREN 4 \"\" \"warren\" \"File servers\"\n.SH NAME\nwarren \\- the machine as a tree of files\n.SH DESCRIPTION\n" +
		"The server shows a many-core machine as a tree of files, over 9P and mounted through FUSE.\nSee\n.BR warren (1)\nfor the command.\n")
	for _, t := range topics {
		b = fmt.Appendf(b, ".SS %s\n%s\n", t.name, troff(t.text))
	}
	b = append(b, ".SH FILES\n"...)
	for _, d := range Manual() {
		b = fmt.Appendf(b, ".SS %s\n%s\n", troff(d.Name), troff(d.Doc))
		for _, f := range d.Files {
			b = appendFileMan(b, f)
		}
	}
	b = append(append(b, protocol...), ".SH BUGS\n"...)
	for _, bug := range bugs {
		b = fmt.Appendf(b, "%s\n.PP\n", troff(bug))
	}
	return append(b, ".SH SEE ALSO\n.BR warren (1)\n"...)
}

func appendFileMan(b []byte, f fs.FileDoc) []byte {
	b = fmt.Appendf(b, ".TP\n.B %s\n(%s, %04o)\n%s\n", troff(f.Name), f.Kind, f.Perm, troff(f.Doc))
	if f.Format != "" {
		b = fmt.Appendf(b, ".br\nFields:\n.I %s\n", troff(f.Format))
	}
	if len(f.Verbs) == 0 {
		return b
	}
	b = append(b, ".RS\n"...)
	for _, v := range f.Verbs {
		b = fmt.Appendf(b, ".TP\n.B %s\n%s\n", troff(strings.TrimRight(v.Name+" "+v.Args, " ")), troff(v.Doc))
	}
	return append(b, ".RE\n"...)
}

// troff escapes text for troff: backslashes, and dots and quotes that begin a line.
func troff(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	text = strings.ReplaceAll(text, "-", `\-`)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
