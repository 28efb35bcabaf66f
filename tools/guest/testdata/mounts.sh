#!/bin/sh
# The guest's own tree through Linux's 9P client and through FUSE, and the
# host's tree through a port.
. /t/lib.sh

# What differs between ways to the same server.
transport="look process messages blocked signals many"
fd=trans=fd,rfdno=3,wfdno=3,cache=none

mkdir -p /mnt/fuse /mnt/vsock /mnt/host
serve -machine host,cores=8 -state /var/lib/warren -mount /mnt/fuse -insecure \
	-listen unix!/run/warren.sock -listen tcp!127.0.0.1!5640 -listen vsock!any!5640

v9fs /mnt/L /run/warren.sock trans=unix,version=9p2000.L
v9fs /mnt/u /run/warren.sock trans=unix,version=9p2000.u,aname=v9fs
v9fs /mnt/c /run/warren.sock trans=unix,version=9p2000,aname=v9fs,uname=root
v9fs /mnt/tL 127.0.0.1 trans=tcp,port=5640,version=9p2000.L,access=any,uname=root
v9fs /mnt/tu 127.0.0.1 trans=tcp,port=5640,version=9p2000.u,aname=v9fs,msize=8192
report mount/mnt/vsock relay vsock!1!5640 mount -t 9p -o $fd,version=9p2000.L none /mnt/vsock

tree unix-L-bash bash /mnt/L 9p2000.L
tree unix-L-dash dash /mnt/L 9p2000.L
tree unix-L-busybox 'busybox sh' /mnt/L 9p2000.L
tree unix-u dash /mnt/u 9p2000.u
tree unix-classic bash /mnt/c 9p2000
tree tcp-L 'busybox sh' /mnt/tL 9p2000.L 65536 $transport
tree tcp-u bash /mnt/tu 9p2000.u 8000 $transport
tree vsock-L dash /mnt/vsock 9p2000.L 65536 $transport
tree fuse-bash bash /mnt/fuse fuse
tree fuse-dash dash /mnt/fuse fuse
tree fuse-busybox 'busybox sh' /mnt/fuse fuse
for dir in /mnt/fuse /mnt/L /mnt/u; do
	report users$dir dash /t/users.sh $dir
done

report mount/mnt/host relay port!warren mount -t 9p -o $fd,version=9p2000.L none /mnt/host
tree host-L dash /mnt/host 9p2000.L
report umount/mnt/host umount /mnt/host
report remount/mnt/host relay port!warren mount -t 9p -o $fd,version=9p2000,aname=v9fs,uname=root none /mnt/host
tree host-classic bash /mnt/host 9p2000 65536 $transport

report umount umount /mnt/host /mnt/u /mnt/c /mnt/tL /mnt/tu /mnt/vsock
report halt dash /t/halt.sh /mnt/fuse /mnt/L
cat /tmp/log
