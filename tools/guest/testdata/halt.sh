#!/bin/sh
# halt.sh FUSE V9FS: what becomes of mounts and readers when the machine goes.
fail() { echo "$*" >&2; exit 1; }

mkdir "$2/chans/last"
cat "$2/chans/last/data" >/tmp/last 2>&1 &
reader=$!
n=0
until grep -q p9_ "/proc/$reader/stack"; do
	n=$((n + 1))
	[ $n -lt 100 ] || fail 'the reader does not wait'
	sleep 0.1
done
echo halt >"$1/ctl" || fail halt
n=0
while grep -q " $1 " /proc/mounts; do
	n=$((n + 1))
	[ $n -lt 100 ] || fail 'the FUSE mount stays'
	sleep 0.1
done
wait $reader && fail 'a reader of a server that is gone ended well'
ls "$2" 2>/dev/null && fail 'a server that is gone answers'
umount "$2" || fail umount
grep ' 9p ' /proc/mounts && fail 'still mounted'
:
