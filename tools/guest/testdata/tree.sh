#!/bin/sh
# What holds of a mounted tree, however it is mounted and in any shell:
#	SHELL tree.sh DIR NAME [FRONT [MOST]]
# runs the check of that name on the mount at DIR; without a name it lists the
# checks. FRONT is how it is mounted: fuse, 9p2000, 9p2000.u, 9p2000.L; MOST the
# longest message that fits a write.
# A check that fails says why and exits with 1.

if [ -z "${2:-}" ]; then
	sed -n 's/^check_\([a-z]*\)().*/\1/p' "$0"
	exit
fi

cd "$1" || exit 1
front=${3:-fuse}
most=${4:-65536}
me=$$ # makes names that no other run has
tmp=${TMPDIR:-/tmp}/tree.$me
mkdir -p "$tmp"
trap 'rm -rf "$tmp"' EXIT

fail() { echo "$*" >&2; exit 1; }
is() { [ "$1" = "$2" ] || fail "want $2, got $1"; }
has() { case $1 in *"$2"*) ;; *) fail "want ...$2..., got $1" ;; esac; }

# eventually COMMAND... runs it until it succeeds. Who runs the check ends it
# when that takes too long.
waiting=
trap 'fail "in vain: $waiting"' TERM
eventually() {
	waiting=$*
	until "$@"; do sleep 0.1; done
	waiting=
}

# asleep PID succeeds when that process waits for the answer to a read. One
# that only opens the file has no queue of events yet; and Linux v9fs forgets a
# signal that comes while it begins a read, until the answer is there.
asleep() {
	grep -q -e p9_client_read -e fuse_direct_io -e fuse_file_read "/proc/$1/stack" && grep -q -e '^State:.[DS]' "/proc/$1/status"
}

# refused WORDS COMMAND... succeeds if the command fails and /errors says why.
refused() {
	local words=$1
	shift
	"$@" 2>/dev/null && fail "done, not refused: $*"
	has "$(tail -n 1 errors)" "$words"
}

write() { printf '%s\n' "$2" >"$1"; }

check_look() {
	ls -lR . >"$tmp/list" || fail "ls -lR"
	[ "$(grep -c ^- "$tmp/list")" -gt 50 ] || fail "only $(grep -c ^- "$tmp/list") files"
	is "$(find cores -name ctl | wc -l)" $(($(wc -l <cores/stat) + 1))
	is "$(head -n 1 status)" "name warren"
	is "$(wc -l <cores/stat)" "$(grep -c . cores/stat)"
	is "$(ls cores | grep -c '^[0-9]')" "$(wc -l <cores/stat)"
	has "$(help=$(cat help); echo "$help")" procs
	is "$(dd if=status bs=1 2>/dev/null | head -n 1)" "name warren"
	df . >/dev/null || fail df
	[ -d cores/0 ] && [ -f cores/0/ctl ] && [ ! -e cores/none ] || fail test
}

check_settings() {
	mkdir "procs/s$me"
	write "procs/s$me/ctl" "exec echo 'it''s fine'"
	echo 'cores 2' >>"procs/s$me/ctl"
	printf 'class exclusive\ngrace 20ms\n' >"procs/s$me/ctl"
	cat "procs/s$me/ctl" >"$tmp/saved"
	has "$(cat "$tmp/saved")" 'class exclusive'
	: >"procs/s$me/ctl" || fail 'an empty > is refused'
	cat "$tmp/saved" >"procs/s$me/ctl" || fail 'what was read is refused'
	is "$(cat "procs/s$me/ctl")" "$(cat "$tmp/saved")"
	rmdir "procs/s$me"
}

check_process() {
	mkdir "procs/p$me"
	write "procs/p$me/ctl" "exec sh -c 'echo out; echo err >&2; read x; echo got \$x; exit 3'"
	echo start >"procs/p$me/ctl"
	echo hello >"procs/p$me/stdin"
	read -r name status rest <"procs/p$me/wait"
	is "$name $status" "p$me 3"
	is "$(cat "procs/p$me/stdout")" "$(printf 'out\ngot hello')"
	is "$(cat "procs/p$me/stderr")" err
	is "$(cat "procs/p$me/wait" | cut -d' ' -f2)" 3
	is "$(wc -c <"procs/p$me/stdout")" 14
	rmdir "procs/p$me"
}

check_lines() {
	mkdir "chans/l$me"
	for i in 1 2 3; do echo "line $i"; done >"chans/l$me/lines"
	n=0
	while [ $n -lt 3 ] && read -r word i; do
		n=$((n + 1))
		is "$word $i" "line $n"
	done <"chans/l$me/lines"
	is $n 3
	seq 1 20 >"chans/l$me/lines"
	n=0
	while [ $n -lt 20 ]; do # each read opens the file anew
		n=$((n + 1))
		read -r i <"chans/l$me/lines"
		is "$i" $n
	done
	echo close >"chans/l$me/ctl"
	is "$(cat "chans/l$me/data")" ''
	rmdir "chans/l$me"
}

check_messages() {
	mkdir "chans/m$me"
	d=chans/m$me/data
	echo one >"$d"
	echo two >"$d"
	echo three >>"$d"
	is "$(dd if="$d" bs=4096 count=1 2>/dev/null)" one
	is "$(dd if="$d" bs=64k count=1 2>/dev/null)" two
	is "$(head -n 1 "$d")" three
	# a message that is longer than what is asked for comes in pieces
	echo 'a longer message' >"$d"
	echo next >"$d"
	is "$(dd if="$d" bs=7 count=3 2>/dev/null)" 'a longer message'
	is "$(head -n 1 "$d")" next
	# messages of many sizes come back as they were
	for size in 1 100 4095 4096 4097 8000 20000 65536; do
		[ $size -le "$most" ] || continue
		head -c $size /dev/zero | tr '\0' x >"$tmp/big"
		dd if="$tmp/big" of="$d" bs=64k conv=notrunc 2>/dev/null || fail "cannot write $size bytes"
		dd if="$d" of="$tmp/back" bs=64k count=1 2>/dev/null
		cmp "$tmp/big" "$tmp/back" || fail "a message of $size bytes came back different"
	done
	rmdir "chans/m$me"
}

check_blocked() {
	mkdir "chans/b$me"
	cat "chans/b$me/lines" >"$tmp/got" &
	reader=$!
	eventually asleep $reader
	for i in 1 2 3; do echo "m$i" >"chans/b$me/lines" || fail "cannot write m$i"; done
	eventually grep -q m3 "$tmp/got"
	is "$(cat "$tmp/got")" "$(printf 'm1\nm2\nm3')"
	echo close >"chans/b$me/ctl"
	wait $reader || fail "cat ended with $?"
	rmdir "chans/b$me"
}

# check_signals ends readers that wait: none takes a message with it.
check_signals() {
	mkdir "chans/k$me"
	for signal in INT TERM KILL; do
		# what a shell has in the background ignores SIGINT otherwise
		/usr/bin/env --default-signal=INT cat "chans/k$me/data" >"$tmp/none" &
		reader=$!
		eventually asleep $reader
		kill -$signal $reader
		wait $reader
		status=$?
		[ $status -gt 128 ] || fail "SIG$signal: ended with $status"
		echo "after $signal" >"chans/k$me/data" || fail "SIG$signal: cannot write any more"
		is "$(cat "$tmp/none")" ''
		is "$(dd if="chans/k$me/data" bs=4096 count=1 2>/dev/null)" "after $signal"
	done
	eventually grep -q '^readers 0' "chans/k$me/status"
	rmdir "chans/k$me"
}

# check_nonblock asks for no wait. 9P2000 and 9P2000.u have no word for it.
check_nonblock() {
	case $front in 9p2000 | 9p2000.u) return ;; esac
	mkdir "chans/n$me"
	has "$(/usr/bin/dd if="chans/n$me/data" iflag=nonblock bs=4096 count=1 2>&1)" 'temporarily unavailable'
	echo now >"chans/n$me/data"
	is "$(/usr/bin/dd if="chans/n$me/data" iflag=nonblock bs=4096 count=1 2>/dev/null)" now
	rmdir "chans/n$me"
}

check_clone() {
	id=$(cat procs/clone)
	[ "$id" -ge 0 ] || fail "clone said $id"
	is "$(head -n 1 "procs/$id/status")" "name $id"
	rmdir "procs/$id"
	exec 7<>chans/clone
	read -r id <&7
	echo 'cap 7' >&7 || fail 'the open clone is not its ctl'
	has "$(cat "chans/$id/ctl")" 'cap 7'
	exec 7>&-
	rmdir "chans/$id"
}

check_directories() {
	mkdir "chans/d$me" || fail mkdir
	mkdir "chans/d$me" 2>/dev/null && fail 'made twice'
	[ -d "chans/d$me" ] || fail 'it is not there'
	rmdir "chans/d$me"
	[ ! -e "chans/d$me" ] || fail 'it is still there'
	rmdir "chans/d$me" 2>/dev/null && fail 'removed twice'
	mkdir 'chans/a b' 2>/dev/null && fail 'a blank in a name'
	mkdir here 2>/dev/null && fail 'made at the root'
	echo x >"chans/none" 2>/dev/null && fail 'created a file'
	rm -f status 2>/dev/null && fail 'removed status'
	mv status state 2>/dev/null && fail 'renamed status'
	ln -s status link 2>/dev/null && fail 'linked status'
	rmdir cores/0 2>/dev/null && fail 'removed a core'
	:
}

check_mode() {
	mkdir "chans/c$me"
	chmod 700 "chans/c$me" || fail chmod
	has "$(ls -ld "chans/c$me")" drwx------
	chmod 644 "chans/c$me/data" || fail 'chmod of a file'
	has "$(ls -l "chans/c$me/data")" -rw-r--r--
	if [ "$front" != 9p2000 ]; then # which knows users by name only
		chown 1000 "chans/c$me" || fail chown
		is "$(stat -c %u "chans/c$me")" 1000
	fi
	touch "chans/c$me/data" || fail touch
	rmdir "chans/c$me"
}

check_tail() {
	mkdir "procs/t$me"
	write "procs/t$me/ctl" "exec sh -c 'for i in 1 2 3 4 5; do echo tick \$i; sleep 0.2; done'"
	echo start >"procs/t$me/ctl"
	case $front in # V9FS_MAGIC makes GNU tail wait for inotify
	9p2000 | 9p2000.u) busybox tail -f "procs/t$me/stdout" >"$tmp/tail" & ;;
	*) tail -f "procs/t$me/stdout" >"$tmp/tail" & ;;
	esac
	follower=$!
	read -r rest <"procs/t$me/wait"
	eventually grep -q 'tick 5' "$tmp/tail"
	kill $follower
	wait $follower 2>/dev/null
	is "$(cat "$tmp/tail")" "$(printf 'tick %s\n' 1 2 3 4 5)"
	is "$(cat "procs/t$me/follow")" "$(cat "$tmp/tail")"
	is "$(tail -n 1 "procs/t$me/stdout")" 'tick 5'
	is "$(grep -c tick "procs/t$me/stdout")" 5
	rmdir "procs/t$me"
}

check_errors() {
	mkdir "procs/e$me"
	refused 'unknown verb "strat" (start?)' write "procs/e$me/ctl" strat
	refused 'cores' write "procs/e$me/ctl" 'cores 99999'
	printf 'cores 1\nnonsense\n' >"procs/e$me/ctl" 2>/dev/null && fail 'half a write was done'
	has "$(dd if=/dev/zero of=procs/e$me/status bs=1 count=1 conv=notrunc 2>&1)" ermission
	has "$(cat procs/none 2>&1)" 'No such file'
	has "$(cat procs 2>&1)" 'Is a directory'
	rmdir "procs/e$me"
}

check_events() {
	cat events >"$tmp/events" &
	reader=$!
	eventually asleep $reader
	mkdir "chans/v$me"
	rmdir "chans/v$me"
	eventually grep -q "v$me" "$tmp/events"
	eventually asleep $reader
	kill $reader
	wait $reader 2>/dev/null
	:
}

# check_many has four writers and four readers at work at once.
check_many() {
	mkdir "chans/w$me"
	for w in 1 2 3 4; do
		for i in 1 2 3 4 5 6 7 8 9 10; do echo "$w $i" >"chans/w$me/data" || exit 1; done &
		writers="${writers:-} $!"
	done
	for r in 1 2 3 4; do
		cat "chans/w$me/data" >"$tmp/r$r" &
		readers="${readers:-} $!"
	done
	wait $writers
	eventually grep -q '^held 0' "chans/w$me/status"
	echo close >"chans/w$me/ctl"
	wait $readers
	is "$(cat "$tmp"/r? | sort -u | wc -l)" 40
	is "$(cat "$tmp"/r? | wc -l)" 40
	rmdir "chans/w$me"
}

check_lock() {
	mkdir "chans/f$me"
	flock "chans/f$me/lines" true || fail flock
	rmdir "chans/f$me"
}

# check_pipeline has one program read what another writes.
check_pipeline() {
	mkdir "chans/in$me" "chans/out$me"
	echo 'hangup on' >"chans/in$me/ctl"
	echo 'hangup on' >"chans/out$me/ctl"
	(while read -r a b; do echo $((a * b)); done <"chans/in$me/lines" >"chans/out$me/lines") &
	seq 1 10 | sed 's/$/ 3/' >"chans/in$me/lines"
	is "$(cat "chans/out$me/lines" | tail -n 1)" 30
	wait
	rmdir "chans/in$me" "chans/out$me"
}

"check_$2"
