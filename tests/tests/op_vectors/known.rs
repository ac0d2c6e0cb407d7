//! Where answers knowingly differ from those of ceph-osd 16.2.15, and why.

/// A difference.
struct Known {
    /// Its reason.
    reason: &'static str,
    /// Whether it is the one between these answers to this request.
    is: fn(request: &str, theirs: &str, ours: &str) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        reason: "holes are blocks of 4 KiB that read as zeros; BlueStore knows to the byte what was written, zeros too",
        is: |_, theirs, ours| {
            let sparse = theirs.contains("sparse-read 0") && without_extents(theirs) == without_extents(ours);
            let map = |text: &str| text.contains("mapext 0 ");
            sparse || (map(theirs) && map(ours))
        },
    },
    Known {
        reason: "a page of a listing is full when it has the objects asked for; Ceph counts those it does not list, too",
        is: |request, theirs, ours| {
            request.contains(" listing ") && theirs.contains("then more") && ours.contains("then more")
        },
    },
    Known {
        reason: "the filter of the class hello, an example",
        is: |_, theirs, ours| theirs.contains("ls-filter 0 [") && ours.starts_with("-22 "),
    },
    Known {
        reason: "every object is dirty: there are no cache tiers that could be flushed to",
        is: |_, theirs, ours| theirs.ends_with("| isdirty 0 00") && ours.ends_with("| isdirty 0 01"),
    },
    Known {
        reason: "a sparse read with a truncation is served, as since Quincy",
        is: |_, theirs, ours| theirs.ends_with("| sparse-read -22") && ours.contains("| sparse-read 0 "),
    },
    Known {
        reason: "an empty write from before a truncation does not extend the object, as since Quincy",
        is: |request, theirs, ours| {
            let (extended, kept) = (" stat 0 8813000000000000", " stat 0 a00f000000000000");
            request.contains(" truncation cut ") && theirs.contains(extended) && ours.contains(kept)
        },
    },
    Known {
        reason: "an op sees what those before it in the vector wrote; Ceph reads what was there before the vector",
        is: |request, theirs, ours| {
            let (unseen, seen) = ("| writefull 0 | read -2 | delete 0", "| writefull 0 | read 0 ");
            request.contains(" data missing ") && theirs.contains(unseen) && ours.contains(seen)
        },
    },
    Known {
        reason: "a vector refused for its long output changes nothing; Ceph's OSD keeps its version and time in memory",
        is: |request, _, ours| request.contains(" vector overflow ") && !ours.contains("read -75"),
    },
];

/// An answer without the extents of sparse reads and their lengths.
fn without_extents(answer: &str) -> String {
    let kept = |op: &str| match op.contains("sparse-read 0") {
        true => {
            let op = op.split(" at [").next().unwrap_or_default();
            let words = op.split(' ').filter(|word| !word.starts_with("u="));
            words.collect::<Vec<_>>().join(" ")
        }
        false => op.to_owned(),
    };
    answer.split(" | ").map(kept).collect::<Vec<_>>().join(" | ")
}

/// The reason of a difference, if it is known.
pub(crate) fn find(request: &str, theirs: &str, ours: &str) -> Option<&'static str> {
    let known = KNOWN.iter().find(|known| (known.is)(request, theirs, ours));
    known.map(|known| known.reason)
}

/// All reasons.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.reason)
}
