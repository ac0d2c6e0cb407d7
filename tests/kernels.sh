#!/usr/bin/env bash
# Kernels of Debian's releases with an initramfs that holds the modules of rbd, to be started in QEMU.
#
#   tests/kernels.sh [SUITE...]    makes those that are not there (default: all)
#   tests/kernels.sh list          one line for each: suite, kernel or "missing", folder
#
# They are kept in RBDGATE_KERNELS (default /var/tmp/rbdgate-kernels), about 25 MB each: `vmlinuz`, `initramfs.gz`, and
# `made`, the kernel's release. The packages come from where this machine's apt takes its own; RBDGATE_MIRROR names
# another mirror. Nothing is installed; needed are busybox-static, kmod and xz-utils.
#
# The initramfs loads the modules, brings up the network of QEMU's user mode (10.0.2.15, gateway 10.0.2.2) and
# runs /job, which comes with a second archive behind the first; then the machine is switched off.
set -uo pipefail

folder=${RBDGATE_KERNELS:-/var/tmp/rbdgate-kernels}
here=$(cd "$(dirname "$0")" && pwd)
suites=(bullseye bookworm trixie sid)
# In the order of loading: what others look for by name comes before them.
modules=(virtio_pci virtio_net crc32c_generic aes_generic aesni_intel ctr cbc cts ghash_generic ghash_clmulni_intel gcm hmac
    sha256_generic sha512_generic camellia_generic authenc krb5enc krb5 rbd ext4)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

recipe() {
    echo "$(cat "$here/kernel-init.sh") ${modules[*]}" | sha256sum | cut -c1-16
}

is_there() {
    [ -f "$folder/$1/made" ] && [ "$(sed -n 2p "$folder/$1/made")" = "$(recipe)" ]
}

# apt with lists of its own for one suite.
private_apt() {
    local work=$1 tool=$2
    shift 2
    "$tool" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::Status=/dev/null \
        -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures=amd64 "$@"
}

# The files of the wanted modules in the order of loading; what a kernel has built in, or not at all, is left out.
load_order() {
    local dep=$1
    shift
    awk -v wanted="$*" '
        function name(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
        function load(path,   parts, n, i) {
            if (done[path]++) return
            n = split(needs[path], parts, " ")
            for (i = n; i >= 1; i--) load(parts[i])
            print path
        }
        { path = $1; sub(/:$/, "", path); $1 = ""; needs[path] = $0; by[name(path)] = path }
        END { n = split(wanted, list, " "); for (i = 1; i <= n; i++) if (list[i] in by) load(by[list[i]]) }
    ' "$dep"
}

# What a package depends on, as far as it matches.
depends() {
    private_apt "$1" apt-cache depends "$2" | awk -v which="^$3" '$1 == "Depends:" && $2 ~ which { print $2 }'
}

make() {
    local suite=$1 work mirror image parts deb release
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/image" "$work/root"/{bin,dev,proc,sys,lib,mnt}
    mirror=$("$here/chroots.sh" mirror "$suite")
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
    private_apt "$work" apt-get update >"$work/log" 2>&1
    image=$(depends "$work" linux-image-amd64 'linux-image-')
    # Newer releases have the kernel and its modules in packages of their own.
    parts=$(depends "$work" "${image:-linux-image-amd64}" 'linux-(binary|modules)-')
    # shellcheck disable=SC2086
    if [ -z "$image" ] || ! (cd "$work" && private_apt "$work" apt-get download $image $parts >>"$work/log" 2>&1); then
        echo "$suite: no kernel to be had from $mirror:" >&2
        tail -n 5 "$work/log" | sed 's/^/    /' >&2
        rm -rf "$work"
        return 1
    fi
    for deb in "$work"/*.deb; do
        dpkg-deb -x "$deb" "$work/image" || return 1
    done
    local tree
    tree=$(find "$work/image" -type d -path '*/lib/modules/*' | head -n 1)
    release=$(basename "$tree")
    # From Trixie on modules are below /usr, where depmod does not look by itself.
    mkdir -p "$work/depmod/lib/modules"
    ln -s "$tree" "$work/depmod/lib/modules/$release"
    if ! depmod -b "$work/depmod" "$release" || [ ! -s "$tree/modules.dep" ]; then
        echo "$suite: no list of what its modules need (package kmod)" >&2
        rm -rf "$work"
        return 1
    fi
    local path
    while read -r path; do
        local file=$tree/$path target
        target=$work/root/lib/$(basename "${path%%.ko*}").ko
        case $path in
        *.xz) xz -dc "$file" >"$target" ;;
        *.zst) zstd -qdc "$file" >"$target" ;;
        *) cp "$file" "$target" ;;
        esac || return 1
        basename "$target" >>"$work/root/lib/order"
    done < <(load_order "$tree/modules.dep" "${modules[@]}")
    cp /bin/busybox "$work/root/bin/busybox"
    install -m 755 "$here/kernel-init.sh" "$work/root/init"
    mkdir -p "$folder/$suite"
    (cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$folder/$suite/initramfs.gz"
    cp "$(find "$work/image" -type f -name 'vmlinuz*' | head -n 1)" "$folder/$suite/vmlinuz" || return 1
    printf '%s\n%s\n' "$release" "$(recipe)" >"$folder/$suite/made"
    rm -rf "$work"
    echo "$suite: Linux $release"
}

list() {
    local suite
    for suite in "${suites[@]}"; do
        if is_there "$suite"; then
            echo "$suite $(sed -n 1p "$folder/$suite/made") $folder/$suite"
        else
            echo "$suite missing $folder/$suite"
        fi
    done
}

case ${1:-} in
-h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" ;;
list) list ;;
*)
    [ $# -gt 0 ] && suites=("$@")
    as_root install -d -m 755 "$folder" && as_root chown "$(id -u)" "$folder" || exit 1
    exec 9>"$folder/lock"
    flock 9
    failed=()
    for suite in "${suites[@]}"; do
        if is_there "$suite"; then
            echo "$suite: there"
        else
            make "$suite" 9>&- || failed+=("$suite")
        fi
    done
    if [ ${#failed[@]} != 0 ]; then
        echo "missing: ${failed[*]}" >&2
        exit 1
    fi
    ;;
esac
