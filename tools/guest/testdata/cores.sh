#!/bin/sh
# cores.sh NAME: a check of the host driver, on the mount that is the current
# directory, of a machine with 16 processors on 2 nodes; without a name it lists
# the checks.
fail() { echo "$*" >&2; exit 1; }
is() { [ "$1" = "$2" ] || fail "want $2, got $1"; }
has() { case $1 in *"$2"*) ;; *) fail "want ...$2..., got $1" ;; esac; }
online=/sys/devices/system/cpu

waiting=
trap 'fail "in vain: $waiting"' TERM
eventually() {
	waiting=$*
	until "$@"; do sleep 0.1; done
	waiting=
}

# field FILE KEY prints a value of a status file.
field() { awk -v key="$2" '$1 == key { sub(/^[^ ]* /, ""); print }' "$1"; }

# spin NAME SETTING... makes a process of busy loops, one a core, and starts it.
spin() {
	local name=$1
	shift
	mkdir "procs/$name" || exit 1
	printf '%s\n' "exec sh -c 'for i in 1 2 3 4; do while :; do :; done & done; wait'" "$@" start >"procs/$name/ctl" || fail "$(tail -n 1 errors)"
}

# cpus NAME prints the CPUs that Linux lets a process run on.
cpus() { awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$(field "procs/$1/status" pid)/status"; }

# ran_on NAME prints the CPUs that its busy loops are on now.
ran_on() {
	local p
	for p in $(cat "/proc/$(field "procs/$1/status" pid)/task"/*/children); do
		sed 's/.*) //' "/proc/$p/stat" | awk '{ print $37 }'
	done | sort -nu | paste -sd' '
}

finish() {
	echo 'kill KILL' >"procs/$1/ctl"
	cat "procs/$1/wait" >/dev/null
	rmdir "procs/$1"
}

check_topology() {
	is "$(wc -l <cores/topology)" 16
	is "$(awk '$3 == 0' cores/topology | wc -l) $(awk '$3 == 1' cores/topology | wc -l)" '8 8'
	is "$(awk '$3 == 1 { print $1 }' cores/topology | paste -sd,)" 8,9,10,11,12,13,14,15
	is "$(awk '{ print $7 }' cores/topology | sort -nu | wc -l)" 16
	is "$(awk 'NR == 1 { print $1, ($2 < $9) }' cores/distance)" '0 1'
	is "$(field cores/12/status node)" 1
	is "$(field status cores)" 16
}

check_doctor() {
	warren doctor >/tmp/doctor || fail "doctor says $(cat /tmp/doctor)"
	cat /tmp/doctor
	for text in 'ok   permissions: root' 'ok   cores: 16 usable' 'sockets 2' 'nohz_full 8-15' 'ok   numa: 2 nodes' 'ok   cgroups: cgroup v2' 'ok   fuse' 'ok   9p'; do
		grep -q "$text" /tmp/doctor || fail "doctor does not say: $text"
	done
}

check_pinned() {
	spin one 'cores 4' 'class exclusive' 'node 1'
	spin two 'cores 4' 'class exclusive'
	is "$(field procs/one/status state)" running
	has ' 8-11 9-12 10-13 11-14 12-15 ' " $(cpus one) "
	[ "$(cpus one)" != "$(cpus two)" ] || fail 'both have the same cores'
	is "$(awk '{ print $2 }' procs/one/cores procs/two/cores | sort -u | wc -l)" 8
	is "$(awk '$8 == "one" { print $4 }' cores/stat | sort -u)" 1
	# four busy loops on four cores of their own spread over all of them
	eventually eval '[ "$(ran_on one)" = "$(awk "{ print \$2 }" procs/one/cores | sort -n | paste -sd" ")" ]'
	finish one
	finish two
	is "$(awk '$8 != "-"' cores/stat | wc -l)" 0
}

check_grow() {
	spin grow 'cores 2' 'class exclusive' 'node 1'
	first=$(cpus grow)
	echo 'cores 5' >procs/grow/ctl
	eventually eval '[ "$(wc -l <procs/grow/cores)" = 5 ] && [ "$(cpus grow)" != "$first" ]'
	is "$(awk '$8 == "grow" { print $4 }' cores/stat | sort -u)" 1
	is "$(awk '$8 == "grow"' cores/stat | wc -l)" 5
	echo 'cores 1' >procs/grow/ctl
	eventually eval '[ "$(awk "\$8 == \"grow\"" cores/stat | wc -l)" = 1 ]'
	is "$(cpus grow)" "$(awk '$8 == "grow" { print $1 }' cores/stat)"
	finish grow
}

check_offline() {
	echo offline >cores/3/ctl || fail "offline: $(tail -n 1 errors)"
	is "$(cat $online/online)" 0-2,4-15
	is "$(field cores/3/status state)" offline
	echo 'offline 5-6' >cores/ctl || fail "offline of two: $(tail -n 1 errors)"
	is "$(cat $online/online)" 0-2,4,7-15
	is "$(awk '$3 == "offline" { print $1 }' cores/stat | paste -sd,)" 3,5,6
	mkdir procs/big
	printf 'exec sleep 1000\ncores 14\nclass exclusive\n' >procs/big/ctl
	echo start >procs/big/ctl 2>/dev/null # waits, or is refused
	[ "$(field procs/big/status state)" != running ] || fail 'it runs on cores that are off'
	echo kill >procs/big/ctl 2>/dev/null
	echo 'online 3,5-6' >cores/ctl || fail "online: $(tail -n 1 errors)"
	is "$(cat $online/online)" 0-15
	is "$(field cores/6/status state)" online
	eventually rmdir procs/big
}

check_use() {
	spin busy 'cores 4' 'class exclusive' 'node 1'
	core=$(awk 'NR == 1 { print $2 }' procs/busy/cores)
	echo offline >cores/$core/ctl 2>/dev/null && fail 'a core in use went off'
	has "$(tail -n 1 errors)" busy
	is "$(cat $online/online)" 0-15
	finish busy
	echo offline >cores/$core/ctl || fail "now it may go: $(tail -n 1 errors)"
	echo online >cores/$core/ctl || fail "and come back: $(tail -n 1 errors)"
}

# check_behind has Linux itself switch a processor.
check_behind() {
	cat events >/tmp/events &
	reader=$!
	echo 0 >$online/cpu2/online
	eventually grep -q '^state offline' cores/2/status
	is "$(awk '$1 == 2 { print $3 }' cores/stat)" offline
	echo 1 >$online/cpu2/online
	eventually grep -q '^state online' cores/2/status
	kill $reader
}

check_counters() {
	spin load 'cores 2' 'class exclusive' 'on 10-11'
	before=$(field cores/10/stat user_us)
	eventually eval '[ "$(awk "\$1 == 10 { print \$12 }" cores/stat)" -gt 300 ]'
	[ "$(field cores/10/stat user_us)" -gt "$before" ] || fail 'no time in user space is counted'
	[ "$(field procs/load/status cpu_permille)" -gt 100 ] || fail "cpu_permille $(field procs/load/status cpu_permille)"
	finish load
}

check_cgroup() {
	spin group 'cores 1' 'class exclusive'
	has "$(cat /proc/$(field procs/group/status pid)/cgroup)" warren
	finish group
	is "$(find /sys/fs/cgroup -name '*group*' -type d | grep -c warren)" 0
}

if [ -z "${1:-}" ]; then
	sed -n 's/^check_\([a-z]*\)().*/\1/p' "$0"
	exit
fi
"check_$1"
