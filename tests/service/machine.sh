#!/usr/bin/env bash
# A machine for one test: this host's own systemd as the first process of namespaces of its
# own, on an overlay of this host's files that lives in memory. Nothing of it is left behind.
#
#   machine.sh SHARED SECONDS
#
# SHARED is a directory that the machine sees as /mnt. Says "ready PID" (of the first process)
# once the machine is up, or "impossible REASON". It goes when standard input is closed, or
# after SECONDS, whichever is first; so it ends with the test, however that ends.
# Needs root, util-linux, systemd and overlayfs.
set -u

# The first process of the new namespaces, still with the host's files: takes its place in
# the machine's control group, and makes that the root of all groups that it sees.
move_in() {
    echo 0 >"$GROUP/cgroup.procs" || exit 1
    exec unshare --cgroup bash "$SELF" furnish
}

# A file system for the kernel's own interfaces, with what must not be changed read-only:
# apart from namespaces this is the host's kernel.
kernel_files() {
    local at
    mount -t proc -o nosuid,nodev,noexec proc "$1/proc"
    for at in sys irq bus fs acpi; do
        if [ -d "$1/proc/$at" ]; then
            mount --bind "$1/proc/$at" "$1/proc/$at"
            mount -o remount,bind,ro "$1/proc/$at"
        fi
    done
    for at in sysrq-trigger kcore kmsg; do
        if [ -e "$1/proc/$at" ]; then mount --bind /dev/null "$1/proc/$at"; fi
    done
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$1/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$1/sys/fs/cgroup"
}

device() { mknod -m 666 "$1" c "$2" "$3"; }

# No disks, no terminals but its own.
devices() {
    mount -t tmpfs -o nosuid,mode=755,size=1M devices "$1/dev"
    mkdir "$1/dev/pts" "$1/dev/shm"
    device "$1/dev/null" 1 3
    device "$1/dev/zero" 1 5
    device "$1/dev/full" 1 7
    device "$1/dev/random" 1 8
    device "$1/dev/urandom" 1 9
    device "$1/dev/tty" 5 0
    mount -t devpts -o newinstance,nosuid,noexec,mode=620,ptmxmode=666 devpts "$1/dev/pts"
    mount -t tmpfs -o nosuid,nodev,mode=1777,size=64M shm "$1/dev/shm"
    ln -s pts/ptmx "$1/dev/ptmx"
    ln -s /proc/self/fd "$1/dev/fd"
    ln -s fd/0 "$1/dev/stdin"
    ln -s fd/1 "$1/dev/stdout"
    ln -s fd/2 "$1/dev/stderr"
}

# Builds the root, moves into it, and becomes systemd.
furnish() {
    set -e
    local root=$PLACE/root
    mount -t tmpfs -o mode=755,size=1G machine "$PLACE"
    mkdir "$root" "$PLACE/upper" "$PLACE/work"
    mount -t overlay -o "lowerdir=/,upperdir=$PLACE/upper,workdir=$PLACE/work" machine "$root"

    mkdir -p "$root"/{proc,sys,dev,run,tmp,mnt,scratch}
    kernel_files "$root"
    devices "$root"
    mount -t tmpfs -o mode=755,nosuid,nodev,size=64M run "$root/run"
    mount -t tmpfs -o mode=1777,nosuid,nodev,size=256M tmp "$root/tmp"
    mount --bind "$SHARED" "$root/mnt"

    # Of what this host starts, nothing; and it is nobody's first boot.
    rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires "$root/var/log/journal"
    : >"$root/etc/fstab"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    # Containers forbid packages to start services. This is none.
    rm -f "$root/usr/sbin/policy-rc.d"
    # A guardian of this host is none of this machine's business.
    rm -rf "$root/etc/guardian" "$root/var/lib/guardian" "$root"/etc/systemd/system/guardian*

    cd "$root"
    mkdir -p old
    pivot_root . old
    umount --lazy /old
    mount --make-rshared /
    # The clock, modules, the kernel's log and audit are the host's.
    local without=-sys_time,-sys_module,-sys_rawio,-syslog,-audit_control,-audit_read,-mac_admin,-mac_override
    exec env --ignore-environment container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        setpriv --bounding-set "$without,-wake_alarm,-block_suspend" \
        /lib/systemd/systemd --unit=multi-user.target --show-status=no --log-target=journal </dev/null >/dev/null 2>&1
}

case ${1-} in
move_in | furnish)
    "$1"
    exit
    ;;
esac

SELF=$(realpath "$0") SHARED=$(realpath "$1") seconds=$2
GROUP=/sys/fs/cgroup/unified
[ -d "$GROUP" ] || GROUP=/sys/fs/cgroup
PLACE=$(mktemp -d)
GROUP=$GROUP/guardian-test-${PLACE##*.}
export SELF SHARED GROUP PLACE

outer='' first='' state=''
# In all the machine's namespaces; ends by itself in there, because a killed nsenter leaves
# its child behind, which keeps the machine from going down.
inside() { nsenter --all --target "$first" timeout --kill-after=2 "$@"; }

take_down() {
    trap '' INT TERM HUP
    local n
    [ -z "$first" ] || inside 5 systemctl exit 0 >/dev/null 2>&1
    if [ -n "$outer" ]; then
        for ((n = 0; n < 100; n++)); do
            kill -0 "$outer" 2>/dev/null || break
            sleep 0.1
        done
        # With it goes the first process, and so all of the machine.
        kill -KILL "$outer" 2>/dev/null
        wait "$outer" 2>/dev/null
    fi
    for ((n = 0; n < 100; n++)); do
        [ -d "$GROUP" ] || break
        find "$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null
        sleep 0.05
    done
    rmdir "$PLACE"
}
trap take_down EXIT
trap 'exit 1' INT TERM HUP

impossible() {
    echo "impossible $*"
    exit 0
}

mkdir "$GROUP" 2>/dev/null || impossible "no control group can be made in ${GROUP%/*}"
exec 3>"$PLACE.said"
setpriv --pdeathsig KILL unshare --mount --pid --uts --ipc --net --fork --kill-child \
    bash "$SELF" move_in </dev/null >&3 2>&3 &
outer=$!
exec 3>&-
said() {
    local text
    text=$(tail -n 3 "$PLACE.said" | tr '\n' ' ')
    rm -f "$PLACE.said"
    echo "$text"
}

for ((n = 0; n < 400; n++)); do
    kill -0 "$outer" 2>/dev/null || impossible "the machine does not start: $(said)"
    child=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null)
    child=${child%% *}
    if [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ]; then
        first=$child
        state=$(inside 5 systemctl is-system-running 2>/dev/null)
        case $state in running | degraded) break ;; esac
    fi
    sleep 0.05
done
# Degraded: some unit of this host does not work in here, which is none of guardian's.
case $state in
running | degraded) ;;
*) impossible "systemd does not come up here ($state): $(said)" ;;
esac
said >/dev/null
echo "ready $first"

# Until somebody closes our input, says something, or time is over.
read -r -t "$seconds" || true
