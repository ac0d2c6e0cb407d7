#!/usr/bin/env bash
# Ceph's own test suites, from Debian's ceph source packages, ready to run with the clients in the chroots.
#
#   tests/suites.sh [NAME...]     gets those that are not there (default: trixie sid)
#   tests/suites.sh list          one line for each: name, version, and "there" or "missing"
#   tests/suites.sh folder NAME   where its files are: parts of Ceph's source tree
#
# NAME is a Debian suite with a chroot of tests/chroots.sh, which this makes and adds packages to. The files are of the
# version that the chroot's clients have. They are kept in RBDGATE_SUITES (default /var/tmp/rbdgate-suites), about 1 MB
# each; the source archive they come from (150 to 250 MB) is fetched with apt, checked against the hash in Debian's
# index, and removed. An archive put into RBDGATE_SUITES/download before is taken from there if its hash is right.
set -uo pipefail

folder=${RBDGATE_SUITES:-/var/tmp/rbdgate-suites}
here=$(cd "$(dirname "$0")" && pwd)
suites=(trixie sid)
# What the suites call beside the clients, and what runs them.
packages=(mount python3-pytest python3-pytest-timeout jq xmlstarlet sudo procps psmisc uuid-runtime xxd bc rbd-fuse fuse3 rbd-mirror)
# The parts of Ceph's sources that are unpacked.
parts=('*/qa/workunits/rbd' '*/qa/standalone/ceph-helpers.sh' '*/qa/workunits/ceph-helpers-root.sh' '*/src/test/pybind' '*/src/test/librbd/*.py')

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

version() {
    "$here/chroots.sh" source "$1" 2>/dev/null
}

is_there() {
    local version
    version=$(version "$1") && [ -f "$folder/$1.made" ] && [ "$(cat "$folder/$1.made")" = "$version ${parts[*]}" ]
}

# Runs apt-get in the folder $2 with package lists of its own: a source index of the suite's mirror and nothing of this machine's.
apt_get() {
    local suite=$1 work=$2 apt="$folder/download/apt-$1"
    shift 2
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
    echo "deb-src $("$here/chroots.sh" mirror "$suite") $suite main" >"$apt/sources.list"
    (cd "$work" && apt-get -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts" \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="" \
        -o APT::Get::List-Cleanup=false "$@")
}

# "NAME HASH" of the archive with Ceph's sources, as Debian's signed index has them.
archive() {
    # Not where an archive may be already: apt would leave it out.
    apt_get "$1" "$folder/download/apt-$1/parts" source --download-only --print-uris "ceph=$2" |
        awk '$2 ~ /\.orig\.tar\.[a-z0-9]+$/ && sub(/^SHA256:/, "", $4) { print $2, $4; exit }'
}

has_hash() {
    [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status
}

get() {
    local suite=$1 version name hash part="$folder/$1.part"
    "$here/chroots.sh" "$suite" >&2 && "$here/chroots.sh" add "$suite" "${packages[@]}" >&2 || return 1
    version=$(version "$suite") || return 1
    if is_there "$suite"; then
        echo "$suite: there, of ceph $version"
        return 0
    fi
    echo "$suite: getting those of ceph $version"
    mkdir -p "$folder/download" || return 1
    apt_get "$suite" "$folder" update >"$folder/$suite.log" 2>&1
    read -r name hash < <(archive "$suite" "$version" 2>>"$folder/$suite.log")
    if [ -z "${hash:-}" ]; then
        echo "$suite: no source package ceph=$version; sid moves on, then its chroot has to be made again:" >&2
        tail -n 20 "$folder/$suite.log" | sed 's/^/    /' >&2
        return 1
    fi
    if ! has_hash "$folder/download/$name" "$hash"; then
        # Some mirrors have the archive but not the small files beside it, so apt's exit code says nothing; the hash does.
        apt_get "$suite" "$folder/download" source --download-only "ceph=$version" >>"$folder/$suite.log" 2>&1
        if ! has_hash "$folder/download/$name" "$hash"; then
            echo "$suite: $name is not to be had, or is not what the index says:" >&2
            tail -n 20 "$folder/$suite.log" | sed 's/^/    /' >&2
            return 1
        fi
    fi
    rm -rf "$part" "${folder:?}/$suite" && mkdir "$part" &&
        tar -xf "$folder/download/$name" -C "$part" --strip-components=1 --no-same-owner --wildcards "${parts[@]}" || return 1
    mv "$part" "$folder/$suite" && echo "$version ${parts[*]}" >"$folder/$suite.made" &&
        rm -rf "$folder/download/$name" "$folder/download/apt-$suite"
}

get_all() {
    local suite failed=()
    mkdir -p "$folder" || exit 1
    exec 9>"$folder/lock"
    flock 9
    for suite in "$@"; do
        get "$suite" 9>&- || failed+=("$suite")
    done
    if [ ${#failed[@]} != 0 ]; then
        echo "missing: ${failed[*]}" >&2
        exit 1
    fi
}

case ${1:-} in
-h | --help) usage 0 ;;
list)
    for suite in "${suites[@]}"; do
        if is_there "$suite"; then state=there; else state=missing; fi
        echo "$suite $(version "$suite" || echo unknown) $state"
    done
    ;;
folder)
    [ $# = 2 ] || usage 2
    echo "$folder/$2"
    ;;
"") get_all "${suites[@]}" ;;
*) get_all "$@" ;;
esac
