#!/bin/sh
# What scripts in guests use: it is read with "." and reports by
#	== NAME STATUS SECONDS
# followed by what was printed, a tab before each line.

# Nothing here ends a wait: the host sees that nothing is printed any more, and
# has stuck.sh tell what hangs, and end it.

# report NAME COMMAND... runs a command in a session of its own.
report() {
	local name=$1 status from to
	shift
	read -r from _ </proc/uptime
	setsid "$@" >/tmp/report 2>&1 </dev/null &
	echo "$! $name" >/tmp/check
	wait $!
	status=$?
	read -r to _ </proc/uptime
	echo "== $name $status $(echo "$to $from" | awk '{print $1 - $2}')"
	sed 's/^/	/' /tmp/report
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
	warren serve "$@" >/tmp/log 2>&1 &
	server=$!
	echo $server >/tmp/server
	until grep -q ready /tmp/log; do
		if ! kill -0 $server; then
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
