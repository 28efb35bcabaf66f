package mcp

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

// maxSignal is the highest signal of Linux.
const maxSignal = 64

// ParseSignal reads the name of a signal, with or without SIG, or its number.
func ParseSignal(word string) (int, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 1 || n > maxSignal {
			return 0, sys.Errorf(syscall.EINVAL, "no signal %d (want 1 to %d, or a name such as TERM)", n, maxSignal)
		}
		return n, nil
	}
	name := strings.ToUpper(word)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return int(sig), nil
	}
	return 0, sys.Errorf(syscall.EINVAL, "no signal %q (want a name such as TERM, KILL, INT, HUP, USR1, or a number)", word)
}

// signalText names a signal as exit texts do: "9 KILL".
func signalText(sig int) string {
	text := strconv.Itoa(sig)
	if name := unix.SignalName(syscall.Signal(sig)); name != "" {
		text += " " + strings.TrimPrefix(name, "SIG")
	}
	return text
}

// exitText says how a program ended: "exit 3", "signal 9 KILL", "signal 11
// SEGV core".
func exitText(e cores.Exit) string {
	if e.Signal == 0 {
		return "exit " + strconv.Itoa(e.Code)
	}
	text := "signal " + signalText(e.Signal)
	if e.Core {
		text += " core"
	}
	return text
}

// exitStatus is the end as a shell's $? has it: 128 and the number for a signal.
func exitStatus(e cores.Exit) int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

// ends reports whether a signal is sent to end a program, so that one that is
// stopped must be continued to take it.
func ends(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT:
		return true
	}
	return false
}
