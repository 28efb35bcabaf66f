#!/bin/sh
# A worker of wordcount.sh: it takes names of files from one channel and writes
# "words worker name" to another. It ends when the channel of names is closed.

count() {
	while read -r name; do
		awk -v worker="$WARREN_PROC" '{ n += NF } END { print n + 0, worker, FILENAME }' "$name"
	done
}

if [ -n "${WARREN:-}" ]; then
	count <"$WARREN/chans/work/lines" >"$WARREN/chans/counts/lines"
else
	warren cat chans/work/lines | count | warren write chans/counts/lines
fi
