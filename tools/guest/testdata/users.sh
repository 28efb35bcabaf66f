#!/bin/sh
# users.sh DIR: who does what on a mount where each user is who they are.
cd "$1" || exit 1
umask 022
fail() { echo "$*" >&2; exit 1; }
as() {
	local id=$1
	shift
	/usr/bin/setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}

as 1000 mkdir procs/alice || fail 'alice makes no process'
[ "$(stat -c %u procs/alice)" = 1000 ] || fail "it is of $(stat -c %u procs/alice)"
as 1000 sh -c 'echo exec id -u >procs/alice/ctl' || fail 'alice sets nothing'
as 1001 sh -c 'echo exec id -g >procs/alice/ctl' 2>/dev/null && fail 'bob sets what alice runs'
as 1001 cat procs/alice/ctl 2>/dev/null && fail 'bob reads what alice runs'
as 1001 rmdir procs/alice 2>/dev/null && fail 'bob removes it'
as 1001 cat status >/dev/null || fail 'bob reads no status'
as 1000 sh -c 'echo start >procs/alice/ctl' || fail 'alice starts nothing'
read -r name status rest <procs/alice/wait
[ "$status" = 0 ] || fail "it ended with $status"
[ "$(cat procs/alice/stdout)" = 1000 ] || fail "it ran as $(cat procs/alice/stdout)"
as 1001 sh -c 'echo start >procs/alice/ctl' 2>/dev/null && fail 'bob starts it'
as 1001 sh -c 'echo halt >ctl' 2>/dev/null && fail 'bob halts the machine'
as 1001 tail -n 1 errors >/dev/null || fail 'bob has no errors'
as 1000 rmdir procs/alice || fail 'alice removes nothing'
