#!/usr/bin/env bash
# Stock Ceph clients of several generations, each in a chroot made of Debian's packages.
#
#   tests/chroots.sh [NAME...]                makes those that are not there (default: all)
#   tests/chroots.sh add NAME PACKAGE...      installs further packages in one that is there
#   tests/chroots.sh run NAME FOLDER CMD...   runs a command in one, with FOLDER as its working folder /mnt/work; if
#                                             FOLDER has a folder etc-ceph, that is the command's /etc/ceph
#   tests/chroots.sh list                     one line for each: name, generation, and "there" or "missing"
#   tests/chroots.sh source NAME              the version of the ceph source package whose clients it has
#   tests/chroots.sh mirror NAME              where its packages come from
#
# NAME is a Debian suite: bullseye (nautilus), bookworm (pacific), trixie (reef), sid (tentacle). They are kept in
# RBDGATE_CHROOTS (default /var/tmp/rbdgate-chroots), about 350 MB each. The packages come from where this machine's
# apt takes its own, with apt's settings for downloads; RBDGATE_MIRROR names another mirror. A suite that cannot be
# had is reported, the others are made all the same, and the exit code is 1. sid moves on: to have its newest clients,
# remove its folder first.
#
# Making needs root (or sudo). Running needs root or user namespaces; what it mounts is in a mount namespace
# of its own and goes away with the command.
set -uo pipefail

folder=${RBDGATE_CHROOTS:-/var/tmp/rbdgate-chroots}
here=$(cd "$(dirname "$0")" && pwd)
suites=(bullseye bookworm trixie sid)
declare -A generations=([bullseye]=nautilus [bookworm]=pacific [trixie]=reef [sid]=tentacle)
packages=(ceph-common python3-rbd python3-rados qemu-utils qemu-block-extra fio)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

# What a finished chroot was made of: another list of packages makes it again.
recipe() {
    echo "$1 ${packages[*]}"
}

is_there() {
    [ -f "$folder/$1.made" ] && [ "$(cat "$folder/$1.made")" = "$(recipe "$1")" ] && [ -x "$folder/$1/usr/bin/rbd" ]
}

# The mirror of a suite: where apt would take it from, else where apt takes this machine's own release from.
mirror() {
    if [ -n "${RBDGATE_MIRROR:-}" ]; then
        echo "$RBDGATE_MIRROR"
        return
    fi
    local own
    # shellcheck disable=SC1091
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016
    apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        awk -v suite="$1" -v own="$own" '
            $1 == suite && !first { first = $2 }
            $1 == own && !second { second = $2 }
            END { print first ? first : second }'
}

# apt's settings for downloads (proxies, retries, checks of dates) as a file for the chroot's apt.
apt_settings() {
    apt-config dump | grep -E '^Acquire::(https?::|Retries |Check-Valid-Until |Check-Date |ForceIPv)' || true
    echo 'Apt::Install-Recommends "false";'
}

make() {
    local suite=$1 part="$folder/$1.part" from settings status
    from=$(mirror "$suite")
    if [ -z "$from" ]; then
        echo "$suite: no mirror in apt's sources; RBDGATE_MIRROR can name one" >&2
        return 1
    fi
    echo "$suite (${generations[$suite]}): from $from"
    as_root rm -rf --one-file-system "$part" "$folder/$suite" "$folder/$suite.made"
    settings=$(mktemp)
    apt_settings >"$settings"
    chmod 644 "$settings"
    as_root mmdebstrap --quiet --mode=root --variant=essential --components=main \
        --include="$(IFS=,; echo "${packages[*]}")" \
        --aptopt="$settings" \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$part" "$from" >"$folder/$suite.log" 2>&1
    status=$?
    rm -f "$settings"
    if [ $status != 0 ] || ! as_root chroot "$part" rbd --version; then
        echo "$suite: not to be had from $from (exit code $status):" >&2
        tail -n 20 "$folder/$suite.log" | sed 's/^/    /' >&2
        as_root rm -rf --one-file-system "$part"
        return 1
    fi
    as_root mv "$part" "$folder/$suite" && recipe "$suite" | as_root tee "$folder/$suite.made" >/dev/null
}

install_maker() {
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mmdebstrap)
    as_root "${install[@]}" || { as_root apt-get update -q && as_root "${install[@]}"; }
}

make_all() {
    local suite failed=()
    for suite in "$@"; do
        if [ -z "${generations[$suite]:-}" ]; then
            echo "no suite $suite here: ${suites[*]}" >&2
            exit 2
        fi
    done
    as_root install -d -m 755 "$folder" || exit 1
    as_root chown "$(id -u)" "$folder"
    # One maker at a time; the lock goes with the process.
    exec 9>"$folder/lock"
    flock 9
    for suite in "$@"; do
        if is_there "$suite"; then
            echo "$suite (${generations[$suite]}): there"
            continue
        fi
        if ! command -v mmdebstrap >/dev/null; then
            install_maker >&2 || exit 1
        fi
        make "$suite" 9>&- || failed+=("$suite")
    done
    if [ ${#failed[@]} != 0 ]; then
        echo "missing: ${failed[*]}" >&2
        exit 1
    fi
}

# The chroots have no apt of their own: this machine's installs into them.
add() {
    local suite=$1 root="$folder/$1" settings missing=() package
    shift
    need "$suite"
    exec 9>"$folder/lock"
    flock 9
    for package in "$@"; do
        if [ "$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} = 0 ]; then
        return 0
    fi
    echo "$suite: adding ${missing[*]}"
    settings=$(mktemp)
    apt_settings >"$settings"
    cat >>"$settings" <<END
Dir "$root";
Dir::State::status "$root/var/lib/dpkg/status";
Dir::Etc::Trusted "/etc/apt/trusted.gpg";
Dir::Etc::TrustedParts "/etc/apt/trusted.gpg.d/";
DPkg::Chroot-Directory "$root";
APT::Sandbox::User "root";
END
    # shellcheck disable=SC2016
    as_root unshare --mount --propagation private sh -ec '
        root=$1
        export APT_CONFIG=$2 DEBIAN_FRONTEND=noninteractive
        shift 2
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial" "$root/var/log/apt"
        apt-get update -q
        apt-get install -y -q "$@"
        apt-get clean
    ' sh "$root" "$settings" "${missing[@]}" >"$folder/$suite.log" 2>&1 9>&-
    local status=$?
    rm -f "$settings"
    if [ $status != 0 ]; then
        echo "$suite: ${missing[*]} not to be had (exit code $status):" >&2
        tail -n 20 "$folder/$suite.log" | sed 's/^/    /' >&2
    fi
    return $status
}

need() {
    if ! is_there "$1"; then
        echo "no chroot $1 in $folder: tests/chroots.sh $1 makes it" >&2
        exit 125
    fi
}

run() {
    local suite=$1 work=$2
    shift 2
    need "$suite"
    local space=(unshare --mount --propagation private)
    if [ "$(id -u)" != 0 ]; then
        space+=(--map-root-user)
    fi
    # shellcheck disable=SC2016
    exec "${space[@]}" sh -ec '
        root=$1 work=$2 python=$3
        shift 3
        mount --rbind /proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=755 tmpfs "$root/mnt"
        mount -t tmpfs tmpfs "$root/tmp"
        mkdir "$root/mnt/work" "$root/mnt/python"
        mount --bind "$work" "$root/mnt/work"
        mount --bind "$python" "$root/mnt/python"
        if [ -d "$work/etc-ceph" ]; then
            mount --bind "$work/etc-ceph" "$root/etc/ceph"
        fi
        export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1
        exec chroot "$root" sh -c "cd /mnt/work && exec \"\$@\"" sh "$@"
    ' sh "$folder/$suite" "$work" "$here/python" "$@"
}

case ${1:-} in
-h | --help) usage 0 ;;
list)
    for suite in "${suites[@]}"; do
        if is_there "$suite"; then state=there; else state=missing; fi
        echo "$suite ${generations[$suite]} $state"
    done
    ;;
source)
    [ $# = 2 ] || usage 2
    need "$2"
    # shellcheck disable=SC2016
    dpkg-query --admindir="$folder/$2/var/lib/dpkg" -W -f '${source:Version}\n' ceph-common
    ;;
mirror)
    [ $# = 2 ] || usage 2
    mirror "$2"
    ;;
add)
    [ $# -ge 3 ] || usage 2
    shift
    add "$@"
    ;;
run)
    [ $# -ge 4 ] || usage 2
    shift
    run "$@"
    ;;
"") make_all "${suites[@]}" ;;
*) make_all "$@" ;;
esac
