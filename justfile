# Commands of the repository; each works without just as well.

# All tests, as in continuous integration.
test *stages:
    tests/run.sh {{stages}}

# rbdgate beside Ceph's own OSD on the same disk (about a quarter of an hour).
bench *args:
    cargo run -p xtask --release -- bench {{args}}

# The same with short jobs and one round.
bench-quick:
    cargo run -p xtask --release -- bench --quick

# Formats all code.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml

# The documentation of the code.
doc:
    cargo doc --workspace --no-deps --document-private-items

# New inputs for each decoder, for so many seconds each.
fuzz seconds="60":
    cargo run -q -p xtask -- fuzz --seconds {{seconds}}
