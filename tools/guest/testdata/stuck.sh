#!/bin/sh
# What hangs? This is run when a guest has printed nothing for long: it prints
# the processes, where in the kernel each waits, and the state of channels and
# server, and ends the check that is being made. If that did not help, the
# server tells where its goroutines are, and ends.
read -r check name </tmp/check

tell() {
	echo "$name hangs (process $check); uptime $(cat /proc/uptime)"
	for p in /proc/[0-9]*; do
		words=$(tr '\0' ' ' <"$p/cmdline")
		[ -n "$words" ] || continue # a thread of the kernel
		echo "${p#/proc/}: $words"
		grep -E '^(State|PPid|SigPnd|ShdPnd)' "$p/status"
		cat "$p/stack"
	done
	for file in chans/stat procs/stat status errors; do
		echo "$file:"
		timeout 20 warren cat $file
	done
	cat /tmp/report
}

last() {
	kill -QUIT "$(cat /tmp/server)"
	sleep 1 # so that it is in the log
	cat /tmp/log
}

tell 2>&1 | sed 's/^/stuck: /'
if [ -e "/tmp/stuck.$check" ]; then
	kill -KILL "-$check"
	last 2>&1 | sed 's/^/stuck: /'
else
	: >"/tmp/stuck.$check"
	kill -TERM "-$check"
fi
