#!/bin/sh
# What scripts in guests use: it is read with "." and reports by
#	== NAME STATUS SECONDS
# followed by what was printed, a tab before each line.

# report NAME COMMAND... runs a command, a minute at most.
report() {
	local name=$1 status from to
	shift
	read -r from _ </proc/uptime
	(sleep 55 && stuck) >/tmp/stuck 2>&1 &
	timeout -k 5 60 "$@" >/tmp/report 2>&1 </dev/null
	status=$?
	kill $!
	read -r to _ </proc/uptime
	echo "== $name $status $(echo "$to $from" | awk '{print $1 - $2}')"
	cat /tmp/report /tmp/stuck | sed 's/^/	/'
}

# stuck tells which processes wait for a file server, and where.
stuck() {
	local p
	for p in /proc/[0-9]*; do
		grep -q -e p9_ -e fuse_ "$p/stack" || continue
		echo "$p: $(tr '\0' ' ' <"$p/cmdline")"
		cat "$p/stack"
	done
	cat /proc/uptime
	warren cat chans/stat errors
	ps
}

# tree NAME SHELL DIR FRONT [MOST [CHECK...]] makes checks of tree.sh: those
# named, or all.
tree() {
	local name=$1 shell=$2 dir=$3 front=$4 most=${5:-65536} check
	shift $(($# < 5 ? $# : 5))
	[ $# -gt 0 ] || set -- $($shell /t/tree.sh "$dir")
	for check; do
		report "$name/$check" $shell /t/tree.sh "$dir" "$check" "$front" "$most"
	done
}

# serve ARG... starts warren and waits until it is ready; its log is /tmp/log.
serve() {
	local n=0
	warren serve "$@" >/tmp/log 2>&1 &
	server=$!
	until grep -q ready /tmp/log; do
		n=$((n + 1))
		if [ $n -gt 200 ] || ! kill -0 $server; then
			cat /tmp/log
			exit 1
		fi
		sleep 0.1
	done
}

# v9fs DIR SOURCE OPTIONS mounts with Linux's client.
v9fs() {
	mkdir -p "$1"
	report "mount$1" mount -t 9p -o "cache=none,$3" "$2" "$1"
}
