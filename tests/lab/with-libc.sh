#!/bin/sh
# Puts a program and the C library of this machine into a folder that hosts with an older one see, so that it runs there.
# Usage: with-libc.sh PROGRAM PATH_IN_THE_HOSTS SHARED   (SHARED is what the hosts see as /mnt/shared)
set -eu
program=$1 seen=$(dirname "$2") folder=$3/$(basename "$(dirname "$2")")
mkdir "$folder"
cp "$program" "$folder/kadalu"
ldd "$program" | awk '$3 ~ "^/" { print $3 } $1 ~ "^/" { print $1 }' | xargs cp --dereference --target-directory="$folder"
interpreter=$(basename "$(patchelf --print-interpreter "$program")")
patchelf --set-interpreter "$seen/$interpreter" --set-rpath "$seen" "$folder/kadalu"
