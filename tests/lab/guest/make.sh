#!/bin/sh
# Makes, once, what the guest boots: Debian's kernel and an initramfs with the few modules that it needs.
# Usage: make.sh CACHE_DIR; prints the folder. Safe to run twice at once: locked, then renamed into place.
set -eu
cache=$1 here=$(dirname "$0")
guest=$cache/guest-1 # the number is the recipe's: raise it with every change below and of init.sh
mkdir -p "$cache"
exec 9>"$cache/guest.lock"
flock 9
if [ ! -d "$guest" ]; then
    new=$(mktemp -d "$cache/guest.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # Not the cloud kernel, which has no 9p; libraries and tools only because the kernel's modules are compressed.
    mmdebstrap --quiet --variant=extract --include=linux-image-amd64,busybox-static,kmod,liblzma5,xz-utils \
        trixie "$new/root" "$(sh "$here/../mirror.sh")" >&2
    for folder in bin sbin lib lib64; do
        ln -s "usr/$folder" "$new/root/$folder"
    done
    version=$(ls "$new/root/lib/modules")
    chroot "$new/root" /usr/sbin/depmod "$version"
    mkdir -p "$new/guest" "$new/initrd/modules" "$new/initrd/proc" "$new/initrd/machine" "$new/initrd/writes" \
        "$new/initrd/root"
    for module in 9pnet_virtio 9p overlay loop xfs bridge veth; do
        chroot "$new/root" /usr/sbin/modprobe --set-version "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
        name=$(basename "$module" .xz)
        chroot "$new/root" /usr/bin/xz --decompress --stdout "$module" >"$new/initrd/modules/$name"
        echo "$name" >>"$new/initrd/modules/order"
    done
    cp "$new/root/usr/bin/busybox" "$new/initrd/busybox"
    cp "$here/init.sh" "$new/initrd/init"
    chmod +x "$new/initrd/init"
    (cd "$new/initrd" && find . | ./busybox cpio --quiet -o -H newc) | gzip -1 >"$new/guest/initrd"
    cp "$new/root/boot/vmlinuz-$version" "$new/guest/vmlinuz"
    mv "$new/guest" "$guest"
fi
echo "$guest"
