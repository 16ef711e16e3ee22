#!/bin/bash
# Boots systemd in namespaces of its own over a copy-on-write view of this machine, installs the units there, and runs
# inside.sh. As root: boot.sh BINARY. Nothing of this machine is changed: all writes go to memory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)

if [ "${1:-}" != inside ]; then
    binary=$(realpath "$1")
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    mkfifo "$out/ended"
    unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child --mount-proc \
        bash "$here/boot.sh" inside "$binary" "$out" >"$out/boot.log" 2>&1 </dev/null &
    booted=$!
    ended=$(timeout 180 cat "$out/ended") || ended='it did not come to its end'
    kill -KILL "$booted" 2>/dev/null || true
    wait "$booted" 2>/dev/null || true
    cat "$out/boot.log" "$out/inside.log" || true
    echo "booted systemd: $ended"
    [ "$ended" = 'all is well' ]
    exit
fi

binary=$2 out=$3
mount --make-rprivate /
memory=$out/memory
mkdir "$memory"
mount -t tmpfs tmpfs "$memory"
mkdir "$memory"/{upper,work,root}
root=$memory/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root"/dev/{pts,shm,mqueue,hugepages}
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
if grep -q ':name=systemd:' /proc/self/cgroup; then
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
else
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
ip link set lo up

# Nothing of this machine's own services.
rm -rf "$root"/etc/systemd/system/*.wants
units=$repository/deploy/systemd system=$root/usr/lib/systemd/system
mkdir -p "$system/aimis-gateway.service.d"
cp "$units/aimis-gateway.service" "$units/aimis-gateway.socket" "$system/"
cp "$units/aimis-gateway.service.d/hardening.conf" "$system/aimis-gateway.service.d/"
cp "$units/aimis-gateway.service.d/credentials.conf.example" "$system/aimis-gateway.service.d/credentials.conf"
cp "$units/sysusers.conf" "$root/usr/lib/sysusers.d/aimis-gateway.conf"
cp "$units/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/aimis-gateway.conf"
cp "$binary" "$root/usr/bin/aimis-gateway"
systemd-sysusers --root="$root" aimis-gateway.conf
systemd-tmpfiles --root="$root" --create aimis-gateway.conf
sed 's#secrets/first-hospital.token#credential:first-hospital.token#' \
    "$repository/config/profiles/hospital-single.toml" >"$root/etc/aimis-gateway/gateway.toml"
(umask 077 && printf %s 0123456789abcdef0123456789abcdef >"$root/etc/aimis-gateway/secrets/first-hospital.token")

mkdir "$root/out"
mount --bind "$out" "$root/out"
cp "$here/inside.sh" "$root/inside.sh"
cat >"$root/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/bash /inside.sh
StandardOutput=append:/out/inside.log
StandardError=append:/out/inside.log
UNIT

cd "$root"
mkdir -p before
pivot_root . before
umount -l /before
# As a booted systemd has it: credentials are mounted elsewhere and have to arrive here.
mount --make-rshared /
export container=trial
exec chroot . /usr/lib/systemd/systemd --system --unit=inside.service --log-target=journal --show-status=no </dev/null
