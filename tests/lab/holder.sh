# The first process of a host's namespaces: arranges its mounts, says its process id, then holds
# the namespaces until its standard input closes, which it does when the test process ends, however it ends.
# Usage: sh -c "$(cat holder.sh)" holder ROOT DIR SHARED NAME   (ROOT is empty for the machine's own root)
set -eu
root=$1 dir=$2 shared=$3 name=$4
read -r pid _ </proc/self/stat # this /proc is still the machine's, so this is the id seen from outside
hostname "$name"
if [ -n "$root" ]; then
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount --rbind /dev "$root/dev"
fi
mount -t proc proc "$root/proc"
mount --bind "$dir/lib" "$root/var/lib/glusterd"
mount --bind "$dir/log" "$root/var/log/glusterfs"
mount --bind "$dir/etc" "$root/etc/glusterfs"
mount --bind "$dir/ssl" "$root/usr/lib/ssl"
mount --bind "$dir/hosts" "$root/etc/hosts"
mount --bind "$dir/run" "$root/run"
mount --bind "$dir/mnt" "$root/mnt"
# glusterd starts this Python program a dozen times before it answers: seconds, and half a minute in the guest.
printf '#!/bin/sh\necho gsyncd\n' >"$dir/gsyncd"
chmod +x "$dir/gsyncd"
for gsyncd in "$root"/usr/lib/*/glusterfs/gsyncd; do
    [ ! -e "$gsyncd" ] || mount --bind "$dir/gsyncd" "$gsyncd"
done
# glusterd 10 hangs where it starts a brick while it runs this with its lock held, which it does at every STATUS_VOLUME with
# details until it has had an answer about a disk. A host may not open the machine's: it is told the usual size.
if [ -e "$root/usr/sbin/tune2fs" ]; then
    cp "$root/usr/sbin/tune2fs" "$dir/run/tune2fs"
    printf '#!/bin/sh\n/run/tune2fs "$@" 2>/dev/null || echo Inode size: 256\n' >"$dir/tune2fs"
    chmod +x "$dir/tune2fs"
    mount --bind "$dir/tune2fs" "$root/usr/sbin/tune2fs"
fi
mount --bind "$shared" "$root/mnt/shared"
# Servers have their own /tmp, as glusterds write volfiles there under the same names; last, as the lab's files are in the
# machine's. A client of the machine's root keeps that: what is to be tried may lie there.
case $root:$name in
:c*) ;;
*) mount -t tmpfs tmpfs "$root/tmp" ;;
esac
echo "$pid"
# SIGCHLD ignored: the kernel then reaps the daemons that end here.
exec chroot "${root:-/}" env --chdir=/ --ignore-signal=CHLD cat >/dev/null
