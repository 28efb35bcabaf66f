package fs

import (
	"bytes"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"warren/fs/sys"
)

// A Verb is a command of a Ctl file. Only append to tables of them.
type Verb[T Object] struct {
	Name string
	// Args is the usage, and is checked before Parse: words in capitals
	// stand for anything, words in lower case for themselves, "a|b" for one
	// of these, "[X]" may be left out, "X..." repeats; " | " separates forms.
	Args string
	Doc  string
	// Also are other names, which are understood and not told.
	Also []string
	// Secret: of K=V only K is told to those who watch, as V may be a password.
	Secret bool
	// Parse checks the words for syntax only and returns the action.
	Parse func(words []string) (func(c *Call, t T) error, error)
	// Dump returns the argument lists, quoted, that bring the present
	// state back, a line each; nil for actions.
	Dump func(t T) []string
}

// A command is a checked line.
type command[T Object] struct {
	verb string
	do   func(c *Call, t T) error
	set  string // the line, if it is a setting
	end  int    // offset behind the line
}

// run checks all lines of a write, then does them in order. It returns how
// many bytes were done, and the verb that failed. set is told of each setting.
func run[T Object](c *Call, verbs []Verb[T], file string, t T, p []byte, set func(line string)) (int, string, error) {
	cmds, verb, err := parseLines(verbs, file, p)
	if err != nil {
		return 0, verb, err
	}
	done := 0
	for _, cmd := range cmds {
		if err := cmd.do(c, t); err != nil {
			return done, cmd.verb, prefixed(cmd.verb, err)
		}
		if cmd.set != "" {
			set(cmd.set)
		}
		done = cmd.end
	}
	return len(p), "", nil
}

// parseLines checks the syntax of a write of one or more lines.
func parseLines[T Object](verbs []Verb[T], file string, p []byte) ([]command[T], string, error) {
	if bytes.IndexByte(p, 0) >= 0 || !utf8.Valid(p) {
		return nil, "-", sys.Errorf(syscall.EINVAL, "%s: commands are text: this is not UTF-8, or has a NUL in it", file)
	}
	var cmds []command[T]
	for at := 0; at < len(p); {
		line, rest, ended := cutLine(p[at:])
		if !ended && at > 0 && len(bytes.TrimSpace(line)) > 0 {
			return nil, "-", sys.Errorf(syscall.EINVAL, "%s: the last line %q is cut off: end each line with a newline", file, clip(string(line)))
		}
		end := len(p) - len(rest)
		cmd, err := parseLine(verbs, file, string(line))
		if err != nil {
			return nil, cmd.verb, err
		}
		if cmd.do != nil {
			cmd.end = end
			cmds = append(cmds, cmd)
		}
		at = end
	}
	return cmds, "", nil
}

// cutLine cuts p behind its first line. As in rc, a newline in quotes is part
// of the word; an apostrophe in a comment is none.
func cutLine(p []byte) (line, rest []byte, ended bool) {
	quoted := false
	comment := bytes.HasPrefix(bytes.TrimLeft(p, " \t\r"), []byte{'#'})
	for i, ch := range p {
		switch {
		case ch == '\'' && !comment:
			quoted = !quoted
		case ch == '\n' && !quoted:
			return p[:i], p[i+1:], true
		}
	}
	return p, nil, false
}

// parseLine checks one line; an empty one, or a comment, has no action.
func parseLine[T Object](verbs []Verb[T], file, line string) (command[T], error) {
	cmd := command[T]{verb: "-"}
	if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
		return cmd, nil
	}
	words, err := Words(line)
	if err != nil {
		return cmd, sys.Errorf(syscall.EINVAL, "%s: %v", file, err)
	}
	v := findVerb(verbs, words[0])
	if v == nil {
		return cmd, unknownVerb(verbs, file, words[0])
	}
	cmd.verb = v.Name
	if err := checkUsage(v.Name, v.Args, words[1:]); err != nil {
		return cmd, err
	}
	do, err := v.Parse(words[1:])
	if err != nil {
		return cmd, prefixed(v.Name, err)
	}
	cmd.do = do
	if v.Dump != nil {
		cmd.set = line
	}
	if v.Secret {
		key, _, _ := strings.Cut(words[1], "=")
		cmd.set = v.Name + " " + key
	}
	return cmd, nil
}

func findVerb[T Object](verbs []Verb[T], name string) *Verb[T] {
	for i := range verbs {
		if verbs[i].Name == name || slices.Contains(verbs[i].Also, name) {
			return &verbs[i]
		}
	}
	return nil
}

func unknownVerb[T Object](verbs []Verb[T], file, word string) error {
	names := make([]string, len(verbs))
	for i := range verbs {
		names[i] = verbs[i].Name
	}
	if near := nearest(word, names); near != "" {
		return sys.Errorf(syscall.EINVAL, "%s: unknown verb %q (%s?)", file, clip(word), near)
	}
	return sys.Errorf(syscall.EINVAL, "%s: unknown verb %q (one of: %s)", file, clip(word), strings.Join(names, " "))
}

// prefixed puts the verb before the text of an error that does not have it.
func prefixed(verb string, err error) error {
	if strings.HasPrefix(err.Error(), verb+":") {
		return err
	}
	return sys.Errorf(sys.Errno(err), "%s: %s", verb, err.Error())
}

// dump appends the settings as the commands that bring them back.
func dump[T Object](verbs []Verb[T], t T, b []byte) []byte {
	for i := range verbs {
		if verbs[i].Dump == nil {
			continue
		}
		for _, args := range verbs[i].Dump(t) {
			b = append(b, verbs[i].Name...)
			if args != "" {
				b = append(append(b, ' '), args...)
			}
			b = append(b, '\n')
		}
	}
	return b
}

// clip shortens what the user wrote for a message.
func clip(word string) string {
	const most = 40
	if len(word) <= most {
		return word
	}
	return strings.ToValidUTF8(word[:most], "") + "…"
}
