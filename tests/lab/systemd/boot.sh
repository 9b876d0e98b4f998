#!/bin/bash
# Boots a systemd of its own around the unit in dist/ and stays until it ends: boot.sh DIR PROGRAM DIST
# In new namespaces (process, mount, cgroup, host name, IPC, network) over a copy-on-write view of this machine's files, which lies in memory:
# nothing outside is changed. DIR/pid then holds systemd's process id as it is outside. End it by killing that process. Needs root and overlay.
set -eu
case ${1:-} in
inside) ;;
*)
    dir=$1 program=$2 dist=$3
    hierarchy=/sys/fs/cgroup
    [ -e $hierarchy/cgroup.procs ] || hierarchy=$hierarchy/unified
    # A cgroup of our own is the root of everything that this systemd makes.
    mkdir "$hierarchy/$(basename "$dir")"
    echo $$ > "$hierarchy/$(basename "$dir")/cgroup.procs"
    exec unshare --pid --mount --cgroup --uts --ipc --net --fork --kill-child "$0" inside "$dir" "$program" "$dist"
    ;;
esac
dir=$2 program=$3 dist=$4
mount --make-rprivate /
mount -t tmpfs -o size=1g,mode=755 live "$dir"
root=$dir/root
mkdir "$dir/upper" "$dir/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" live "$root"
chmod 755 "$root" "$root/etc"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
for where in run tmp dev; do mount -t tmpfs -o mode=755 live "$root/$where"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
chmod 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 live "$root/dev/pts"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
# What dist/README.md tells an administrator to do.
touch "$root/usr/bin/quarterdeck"
mount --bind "$program" "$root/usr/bin/quarterdeck"
install -D -m 644 "$dist/systemd/quarterdeck.service" "$root/usr/lib/systemd/system/quarterdeck.service"
install -D -m 644 "$dist/sysusers.d/quarterdeck.conf" "$root/usr/lib/sysusers.d/quarterdeck.conf"
# Nothing else of this machine is started, and its kernel is left as it is.
mkdir -p "$root/etc/systemd/system"
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' > "$root/etc/systemd/system/live.target"
for unit in systemd-sysctl systemd-modules-load systemd-udevd systemd-binfmt systemd-random-seed; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
# systemd makes the root shared where it is no container's; credentials reach a service's view of it by that.
exec chroot "$root" /bin/sh -c 'mount --make-rshared / && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=quarterdeck-live \
    /lib/systemd/systemd --unit=live.target --show-status=false --log-target=journal'
