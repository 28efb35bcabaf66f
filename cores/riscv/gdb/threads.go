package gdb

import (
	"fmt"
	"strconv"
	"strings"
)

// thread is the one whose registers and memory packets mean.
func (s *Session) thread() int {
	if s.general >= 0 {
		return s.general
	}
	return s.out.lastStop().Thread
}

// threadID is how packets write a thread: from 1, as 0 means any.
func threadID(id int) string { return strconv.FormatInt(int64(id)+1, 16) }

// parseThread undoes threadID; also All ("-1") and anyThread ("0").
func parseThread(text string) (int, error) {
	if text == "-1" {
		return All, nil
	}
	n, err := number(text)
	switch {
	case err != nil || n > 1<<30:
		return 0, errSyntax
	case n == 0:
		return anyThread, nil
	}
	return int(n) - 1, nil
}

// setThread does Hg, for registers and memory, and Hc, for c and s.
func (s *Session) setThread(args string) string {
	if args == "" || args[0] != 'g' && args[0] != 'c' {
		return failure(errSyntax)
	}
	id, err := parseThread(args[1:])
	if err == nil && id >= 0 {
		err = s.target.Regs(id, nil, nil)
	}
	if err != nil {
		return failure(err)
	}
	if args[0] == 'g' {
		s.general = id
	} else {
		s.control = id
	}
	return "OK"
}

func (s *Session) alive(args string) string {
	id, err := parseThread(args)
	if err == nil && id < 0 {
		err = errSyntax
	}
	if err == nil {
		err = s.target.Regs(id, nil, nil)
	}
	return done(err)
}

func (s *Session) currentThread(args string) string {
	if args != "" {
		return "" // qCRC and others
	}
	return "QC" + threadID(s.thread())
}

// readThreads serves the list of threads, which is made at its beginning.
func (s *Session) readThreads(args string) string {
	where, ok := strings.CutPrefix(args, ":")
	if !ok {
		return "E00"
	}
	offset, n, err := span(where)
	if err != nil {
		return failure(err)
	}
	if offset == 0 {
		s.listing = listThreads(s.target.Threads())
	}
	return page(s.listing, offset, n)
}

func listThreads(threads []Thread) []byte {
	quote := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	b := []byte("<?xml version=\"1.0\"?>\n<threads>\n")
	for _, t := range threads {
		b = fmt.Appendf(b, "<thread id=\"%s\" name=\"%s\"/>\n", threadID(t.ID), quote.Replace(t.Name))
	}
	return append(b, "</threads>\n"...)
}

// firstThreads and moreThreads list threads for a gdb that reads no XML.
func (s *Session) firstThreads(string) string {
	s.listing = nil
	for _, t := range s.target.Threads() {
		s.listing = append(append(s.listing, threadID(t.ID)...), ',')
	}
	return s.moreThreads("")
}

func (s *Session) moreThreads(string) string {
	list := s.listing
	if len(list) > maxPacket/2 {
		list = list[:maxPacket/2]
		list = list[:strings.LastIndexByte(string(list), ',')+1]
	}
	s.listing = s.listing[len(list):]
	if len(list) == 0 {
		return "l"
	}
	return "m" + string(list[:len(list)-1])
}

func (s *Session) threadName(args string) string {
	id, err := parseThread(args)
	if err != nil {
		return failure(err)
	}
	for _, t := range s.target.Threads() {
		if t.ID == id {
			return hexText(t.Name)
		}
	}
	return failure(errSyntax)
}
