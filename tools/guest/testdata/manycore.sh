#!/bin/sh
# The host driver on many processors.
. /t/lib.sh

mkdir -p /mnt/w
serve -machine host -state /var/lib/warren -listen unix!/run/warren.sock -mount /mnt/w
cd /mnt/w
for check in $(dash /t/cores.sh); do
	report "cores/$check" dash /t/cores.sh "$check"
done
cat /tmp/log
