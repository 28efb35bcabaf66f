package gdb

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// maxText bounds what a monitor command prints.
const maxText = 64 << 10

// monitor does a command of the target, in hexadecimal. What it says, and what
// is wrong with it, are text for gdb's user.
func (s *Session) monitor(args string) string {
	line, err := hex.DecodeString(args)
	if err != nil {
		return failure(errSyntax)
	}
	text := s.command(strings.Fields(string(line)))
	if len(text) > maxText {
		text = text[:maxText] + "\n(there is more)"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for len(text) > 0 && !s.ended {
		n := min(len(text), maxPacket/4)
		s.send("O" + hexText(text[:n]))
		text = text[n:]
	}
	return "OK"
}

func (s *Session) command(words []string) string {
	var commands []Command
	if c, ok := s.target.(Commander); ok {
		commands = c.Commands()
	}
	if len(words) == 0 || words[0] == "help" {
		return help(commands)
	}
	i := slices.IndexFunc(commands, func(c Command) bool { return c.Name == words[0] })
	if i < 0 {
		return fmt.Sprintf("unknown command %q (see monitor help)", words[0])
	}
	text, err := commands[i].Do(s.thread(), words[1:])
	if err != nil {
		return text + err.Error()
	}
	return text
}

func help(commands []Command) string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "monitor %-20s %s\n", strings.TrimSpace(c.Name+" "+c.Args), c.Doc)
	}
	fmt.Fprintf(&b, "monitor %-20s %s\n", "help", "list these commands")
	return b.String()
}
