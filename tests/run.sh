#!/usr/bin/env bash
# All tests of rbdgate, on Debian 12: style, documentation, licences, unit and property tests, replays of captures, stock Ceph clients
# end to end, a short fuzz run. Installs what is missing of the clients by package name, so run it as root (or
# with sudo at hand) the first time.
#
#   tests/run.sh             everything
#   tests/run.sh STAGE...    some stages: packages fmt clippy doc licences unit build instructions e2e curve suites-part
#                            fuzz, and not by default
#                            generations: chroots with clients of other Ceph releases (the first time, several
#                            minutes and 1.3 GB in /var/tmp), then docs/clients.md from a run with all of them
#                            drivers: Cinder's, Glance's and Nova's drivers and libvirt in those chroots (the first
#                            time, ten minutes and 3 GB more), then docs/drivers.md from a run with all of them
#                            kernels: kernels of Debian's releases in QEMU (without hardware support, some minutes), then
#                            docs/kernels.md from a run with all of them
#                            curve-all: the rest of the end-to-end tests with images on a simulated CurveBS cluster, and
#                            Ceph's own suites there, by default RBDGATE_CURVE_SUITES="trixie/test_rbd.py"
#                            soak: half an hour of mixed clients with kills, a full disk, steps of the clock, no
#                            descriptors left; three minutes of it are in e2e
#                            soak-curve: ten minutes of mixed clients on a simulated CurveBS cluster in which everything
#                            goes wrong in turn; once through is in curve
#                            power: power lost some hundred times under stock clients; twenty times are in e2e
#                            suites: Ceph's own suites (docs/suites.md) with the clients of their releases, all of
#                            them; suites-part runs those that take a minute or two
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
# Everything is built once: without what debuggers and a second build would want, that takes a third less.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-none} CARGO_PROFILE_TEST_DEBUG=${CARGO_PROFILE_TEST_DEBUG:-none}

# Servers fill their journal with zeros when they first start, and tests start some hundred. A smaller one is full more often, too.
export RBDGATE_JOURNAL_SIZE=${RBDGATE_JOURNAL_SIZE:-128M}

# Packages of Debian bookworm. The clients are those of Ceph 16.2.15.
packages=(ceph-common rbd-mirror python3-rbd python3-rados fio e2fsprogs g++ curl ca-certificates strace tshark valgrind libfaketime)

# Drivers of clouds, and mount, which libvirt's test calls.
driver_packages=(mount python3-cinder python3-glance-store python3-nova libvirt-daemon
    libvirt-daemon-driver-storage-rbd libvirt-clients)

# Those end-to-end tests that wait most of their time, for a minute of a schedule or for a deadline: they run beside the others.
waiting_tests=(rbd_mirror rbd_schedules rbd_tasks_in_use sessions)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

stage_packages() {
    export DEBIAN_FRONTEND=noninteractive
    local missing=() name
    for name in "${packages[@]}"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
            missing+=("$name")
        fi
    done
    # QEMU loads its rbd driver only where both packages have the same version, and a machine may have
    # a backport of qemu-utils whose qemu-block-extra is not at hand: take both from the release then.
    local tools block
    tools=$(dpkg-query -W -f '${db:Status-Status} ${Version}' qemu-utils 2>/dev/null || true)
    block=$(dpkg-query -W -f '${db:Status-Status} ${Version}' qemu-block-extra 2>/dev/null || true)
    if [ "$tools" != "$block" ] || [ "${block%% *}" != installed ]; then
        missing+=(qemu)
    fi
    if [ ${#missing[@]} = 0 ]; then
        echo "all there"
        return 0
    fi
    echo "to install: ${missing[*]}"
    as_root apt-get update -q || return 1
    local names=()
    for name in "${missing[@]}"; do
        if [ "$name" != qemu ]; then
            names+=("$name")
            continue
        fi
        local version
        version=$(apt-cache madison qemu-block-extra | awk -F'|' '$3 ~ /Packages/ {gsub(/ /, "", $2); print $2; exit}')
        if [ -z "$version" ]; then
            echo "no qemu-block-extra in the package lists" >&2
            return 1
        fi
        names+=("qemu-utils=$version" "qemu-block-extra=$version")
        # An installed qemu-system-common of another version forbids the pair unless it follows.
        if [ "$(dpkg-query -W -f '${db:Status-Status}' qemu-system-common 2>/dev/null)" = installed ]; then
            names+=("qemu-system-common=$version")
        fi
    done
    as_root apt-get install -y -q --no-install-recommends --allow-downgrades "${names[@]}"
}

stage_fmt() {
    cargo fmt --all --check && cargo fmt --manifest-path fuzz/Cargo.toml --check
}

stage_clippy() {
    cargo clippy --workspace --all-targets -- -D warnings
}

stage_doc() {
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items
}

stage_licences() {
    cargo run -q -p xtask -- licences
}

stage_unit() {
    cargo test --workspace --exclude rbdgate-tests && cargo test -p rbdgate-tests --lib
}

stage_build() {
    cargo build --release -p rbdgate
}

# Instructions of the paths that each request goes through, beside stored figures.
stage_instructions() {
    cargo run --release -q -p xtask -- instructions
}

# Some of the end-to-end tests.
run_e2e() {
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} \
        cargo test -p rbdgate-tests "$@" --no-fail-fast -- --test-threads="${RBDGATE_TEST_THREADS:-2}"
}

stage_e2e() {
    cargo test -p rbdgate-tests --tests --no-run || return 1
    local name waiting=() others=()
    for name in tests/tests/*.rs; do
        name=$(basename "$name" .rs)
        case " ${waiting_tests[*]} " in
        *" $name "*) waiting+=(--test "$name") ;;
        *) others+=(--test "$name") ;;
        esac
    done
    local output beside passed=0
    output=$(mktemp)
    # In a process group of its own, so that it ends with all that it has started if this is interrupted.
    export -f run_e2e
    setsid bash -c 'run_e2e "$@"' - "${waiting[@]}" >"$output" 2>&1 &
    beside=$!
    trap 'kill -- "-$beside" 2>/dev/null; rm -f "$output"' EXIT
    run_e2e "${others[@]}" || passed=1
    wait "$beside" || passed=1
    cat "$output"
    rm "$output"
    trap - EXIT
    return $passed
}

# Half an hour of everything going wrong.
stage_soak() {
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} \
        RBDGATE_SOAK_SECONDS=1800 cargo test -p rbdgate-tests --test soak -- --nocapture
}

# Ten minutes of everything going wrong in a CurveBS cluster.
stage_soak-curve() {
    local bin=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate}
    cargo build --release -p curve-sim || return 1
    RBDGATE_BIN=$bin CURVE_SIM_BIN=${CARGO_TARGET_DIR:-$PWD/target}/release/curve-sim RBDGATE_TEST_BACKEND=curve \
        RBDGATE_SOAK_SECONDS=${RBDGATE_SOAK_SECONDS:-600} cargo test -p rbdgate-tests --test soak -- --nocapture
}

# The disk loses power again and again.
stage_power() {
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} \
        RBDGATE_POWER_ROUNDS=${RBDGATE_POWER_ROUNDS:-200} RBDGATE_POWER_SEED=${RBDGATE_POWER_SEED:-$RANDOM} \
        cargo test -p rbdgate-tests --test power_loss -- --nocapture
}

# A part of the end-to-end tests, with images on a simulated CurveBS cluster.
stage_curve() {
    local bin=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate}
    cargo build --release -p curve-sim || return 1
    local sim=${CARGO_TARGET_DIR:-$PWD/target}/release/curve-sim
    RBDGATE_BIN=$bin CURVE_SIM_BIN=$sim RBDGATE_TEST_BACKEND=curve RBDGATE_SOAK_SECONDS=30 cargo test -p rbdgate-tests --no-fail-fast \
        --test curve_backend --test curve_faults --test curve_owners --test fsck --test rbd_lifecycle --test rbd_import_export --test snapshots --test rados --test fio --test soak \
        -- --test-threads="${RBDGATE_TEST_THREADS:-2}"
}

# The rest of the end-to-end tests there, and Ceph's own suites that RBDGATE_CURVE_SUITES names (none if it is empty). Not there: full_disk and
# failed_disk, which are about the disk of local files (curve_backend has what a full cluster does), kernels, and what does not depend on where images lie.
stage_curve-all() {
    local target=${CARGO_TARGET_DIR:-$PWD/target}
    local bin=${RBDGATE_BIN:-$target/release/rbdgate}
    local suites=${RBDGATE_CURVE_SUITES-trixie/test_rbd.py}
    cargo build --release -p curve-sim || return 1
    (
        export RBDGATE_BIN=$bin CURVE_SIM_BIN=$target/release/curve-sim RBDGATE_TEST_BACKEND=curve
        cargo test -p rbdgate-tests --no-fail-fast \
            --test auth --test caps --test ceph_status --test commands --test compression --test copy_from --test crash \
            --test daemons --test erasure --test layering --test limits --test load --test op_vectors --test operators --test playback \
            --test python_rbd --test qemu --test rbd_schedules --test rbd_tasks --test rbd_tasks_in_use --test resends --test sessions --test several_osds --test snapshot_model \
            --test watch_notify -- --test-threads="${RBDGATE_TEST_THREADS:-2}" || return 1
        [ -z "$suites" ] || RBDGATE_SUITES_ONLY=$suites run_suites
    )
}

stage_generations() {
    # A suite that cannot be had is in the table as not run.
    tests/chroots.sh || echo "going on without it" >&2
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} RBDGATE_CLIENTS_TABLE=$PWD/docs/clients.md \
        cargo test -p rbdgate-tests --test generations
}

stage_drivers() {
    local suite
    for suite in bookworm trixie; do
        # A release that cannot be had is in the table as not run.
        { tests/chroots.sh "$suite" && tests/chroots.sh add "$suite" "${driver_packages[@]}"; } || echo "going on without it" >&2
    done
    # Part of libvirt-daemon before.
    tests/chroots.sh add trixie libvirt-daemon-driver-secret || echo "going on without it" >&2
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} RBDGATE_DRIVERS_TABLE=$PWD/docs/drivers.md \
        cargo test -p rbdgate-tests --test drivers
}

# Ceph's own suites, those that RBDGATE_SUITES_ONLY names or all.
run_suites() {
    tests/suites.sh || return 1
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} \
        cargo test -p rbdgate-tests --test suites -- --ignored
}

stage_suites() {
    RBDGATE_SUITES_TABLE=$PWD/docs/suites.md run_suites
}

stage_suites-part() {
    RBDGATE_SUITES_ONLY="trixie/test_rbd.py sid/test_rados.py sid/journal.sh sid/verify_pool.sh trixie/read-flags.sh" run_suites
}

stage_kernels() {
    as_root apt-get install -y -q --no-install-recommends qemu-system-x86 seabios busybox-static kmod xz-utils zstd || return 1
    tests/kernels.sh || echo "going on without it" >&2
    RBDGATE_BIN=${RBDGATE_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/rbdgate} RBDGATE_KERNELS_TABLE=$PWD/docs/kernels.md \
        cargo test -p rbdgate-tests --test kernel_rbd
}

stage_fuzz() {
    # The corpus first, which needs no fuzzer, then 20 seconds of new inputs for each target, two at a time.
    cargo test --manifest-path fuzz/Cargo.toml && cargo run -q -p xtask -- fuzz --seed 1 --jobs 2 --seconds "${FUZZ_SECONDS:-20}"
}

stages=(packages fmt clippy doc licences unit build instructions e2e curve suites-part fuzz)
if [ $# -gt 0 ]; then
    stages=("$@")
fi
begin=$SECONDS
for stage in "${stages[@]}"; do
    if ! declare -F "stage_$stage" >/dev/null; then
        echo "no stage $stage" >&2
        exit 2
    fi
    printf '\n=== %s\n' "$stage"
    since=$SECONDS
    if ! "stage_$stage"; then
        printf '=== %s FAILED after %d s\n' "$stage" $((SECONDS - since))
        exit 1
    fi
    printf '=== %s passed in %d s\n' "$stage" $((SECONDS - since))
done
printf '\n=== all passed in %d s: %s\n' $((SECONDS - begin)) "${stages[*]}"
