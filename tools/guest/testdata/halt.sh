#!/bin/sh
# halt.sh FUSE V9FS: what becomes of mounts and readers when the machine goes.
fail() { echo "$*" >&2; exit 1; }

mkdir "$2/chans/last"
cat "$2/chans/last/data" >/tmp/last 2>&1 &
reader=$!
until grep -q p9_client_read "/proc/$reader/stack"; do sleep 0.1; done # else it hangs here
echo halt >"$1/ctl" || fail halt
while grep -q " $1 " /proc/mounts; do sleep 0.1; done # the FUSE mount goes
wait $reader && fail 'a reader of a server that is gone ended well'
ls "$2" 2>/dev/null && fail 'a server that is gone answers'
umount "$2" || fail umount
grep ' 9p ' /proc/mounts && fail 'still mounted'
:
