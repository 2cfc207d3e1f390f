#!/busybox sh
# The guest's first process: the machine's own root, read-only by 9p, under an overlay that forgets; then the script of this run.
set -eu
alias b=/busybox
trap 'b echo o >/proc/sysrq-trigger' EXIT # off, whatever happens

b mount -t proc proc /proc
b mount -t devtmpfs dev /dev
while read -r module; do
    b insmod "/modules/$module" || true # crc32c-intel is not for every processor
done </modules/order

p9=trans=virtio,version=9p2000.L,msize=512000
b mount -t 9p -o "ro,cache=loose,$p9" machine /machine
b mount -t tmpfs writes /writes
b mkdir /writes/upper /writes/work
b mount -t overlay -o lowerdir=/machine,upperdir=/writes/upper,workdir=/writes/work root /root

cd /root
b mount --move /proc proc
b mount --move /dev dev
b mkdir -p dev/pts dev/shm run lab guest
b mount -t devpts devpts dev/pts
b mount -t tmpfs shm dev/shm
b mount -t sysfs sysfs sys
b mount -t tmpfs run run
b mount -t tmpfs -o size=75% lab lab
b mount -t 9p -o "ro,$p9" run guest
exec /busybox switch_root /root /bin/sh /guest/run.sh
