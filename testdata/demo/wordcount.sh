#!/bin/sh
# Count the words of many files with one worker on each application core.
#
#	wordcount.sh FOLDER NAMES
#
# NAMES is a file of names of files in FOLDER, one a line. The machine is the
# tree mounted at $WARREN; if there is no mount, the one that the warren
# command finds. Exit status 0 says that the count is what wc(1) counts.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1
names=$2

# All that the script does with the tree.
if [ -n "${WARREN:-}" ]; then
	cd "$WARREN"
	list() { ls; }
	get() { cat "$1"; }     # print a file
	put() { cat >"$1"; }    # write standard input to one
	make() { mkdir "$1"; }
	remove() { rmdir "$1"; }
else
	list() { warren ls; }
	get() { warren cat "$1"; }
	put() { warren write "$1"; }
	make() { warren mkdir "$1"; }
	remove() { warren rm "$1"; }
fi

show() {
	echo
	echo "% cat $1"
	get "$1"
}

workers=
channels=
tmp=$(mktemp -d)

clean() {
	trap - EXIT
	for c in $channels; do
		echo close | put "chans/$c/ctl" # ends who still writes or reads
	done
	for w in $workers; do
		if echo kill | put "procs/$w/ctl" 2>/dev/null; then # else it never ran
			get "procs/$w/wait" >/dev/null
		fi
		remove "procs/$w"
	done
	wait
	for c in $channels; do
		remove "chans/$c"
	done
	rm -r "$tmp"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

echo "% ls"
list
show cores/stat

# A channel of work, and one of results.
for c in work counts; do
	make "chans/$c"
	channels="$channels $c"
done

# A worker for each application core. Several lines to a ctl are one command
# after the other.
n=$(get cores/stat | awk '$10 == "app"' | wc -l)
while [ "$n" -gt 0 ]; do
	w=wc-$n
	n=$((n - 1))
	make "procs/$w"
	workers="$workers $w"
	put "procs/$w/ctl" <<-END
		exec sh '$here/worker.sh'
		dir '$folder'
		cores 1
		class exclusive
		start
	END
done
for w in $workers; do
	echo "$w $(get "procs/$w/cores" | awk '{ print $2; exit }')"
done >"$tmp/where"

# Gather results while the names go out; the channels keep both in step.
get chans/counts/lines >"$tmp/counts" &
gather=$!
put chans/work/lines <"$names" &
feed=$!
show procs/stat
show sched/alloc
show chans/stat
wait "$feed"
echo close | put chans/work/ctl

echo
echo "% cat procs/*/wait"
for w in $workers; do
	get "procs/$w/wait"
done
echo close | put chans/counts/ctl
wait "$gather"

echo
echo "who ran where:"
awk '
	NR == FNR { core[$1] = $2; next }
	{ files[$2]++; words[$2] += $1 }
	END { for (w in core) printf "%-8s core %-4s %5d files %8d words\n", w, core[w], files[w], words[w] }
' "$tmp/where" "$tmp/counts" | sort -V

got=$(awk '{ n += $1 } END { print n + 0 }' "$tmp/counts")
want=$(cd "$folder" && xargs cat <"$names" | wc -w)
echo
echo "$(wc -l <"$tmp/counts") of $(wc -l <"$names") files: the workers counted $got words, wc -w counts $want"
[ "$got" -eq "$want" ]
