#!/bin/sh
# Makes, once, the root folder of a Debian suite with its GlusterFS (bullseye 9.2, bookworm 10.3, trixie 11.1).
# Usage: root.sh SUITE CACHE_DIR; prints the folder. Safe to run twice at once: locked, then renamed into place.
set -eu
suite=$1 cache=$2
root=$cache/$suite-2 # the number is the recipe's: raise it with every change below
mkdir -p "$cache"
exec 9>"$cache/$suite.lock"
flock 9
if [ ! -d "$root" ]; then
    new=$(mktemp -d "$cache/$suite.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    mmdebstrap --quiet --variant=minbase --include=glusterfs-server,glusterfs-client,iproute2 \
        --customize-hook='touch "$1/etc/hosts"' \
        --customize-hook='ln -sf ../proc/self/mounts "$1/etc/mtab"' \
        --customize-hook='echo "hosts: files" >"$1/etc/nsswitch.conf"' \
        "$suite" "$new/root" "$(sh "$(dirname "$0")/mirror.sh")" >&2
    mv "$new/root" "$root"
fi
echo "$root"
