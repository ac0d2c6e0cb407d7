//! The table of settings.

/// One setting, as flag, key and variable.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key in the file; the flag is `--KEY`.
    pub key: &'static str,
    /// What stands for the value in a usage line.
    pub value: &'static str,
    /// The default, as text.
    pub default: &'static str,
    /// What a value looks like.
    pub allowed: &'static str,
    /// What it is, in a sentence or two.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("RBDGATE_{}", self.key.replace('-', "_").to_uppercase())
    }
}

const ADDRESS: &str = "an address IP:PORT; port 0 is a free one";

/// All settings.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data",
        value: "DIR",
        default: "./rbdgate-data",
        allowed: "a folder, which is made if it is not there",
        help: "Where the cluster is kept: images, metadata, keys, and the ceph.conf for clients.",
    },
    Setting {
        key: "mon-v2",
        value: "IP:PORT",
        default: "127.0.0.1:3300",
        allowed: ADDRESS,
        help: "Where the monitor listens for msgr v2: the address that clients have in mon_host.",
    },
    Setting {
        key: "mon-v1",
        value: "IP:PORT",
        default: "127.0.0.1:6789",
        allowed: ADDRESS,
        help: "Where the monitor listens for msgr v1, which older clients speak.",
    },
    Setting {
        key: "osd",
        value: "IP:PORT",
        default: "127.0.0.1:6800",
        allowed: ADDRESS,
        help: "The first of a run of ports: v2 and v1 of each OSD, then of the manager. With port 0 each is a free one.",
    },
    Setting {
        key: "http",
        value: "IP:PORT",
        default: "127.0.0.1:9283",
        allowed: ADDRESS,
        help: "Where /metrics (Prometheus) and /health are served, and /sessions to this host alone.",
    },
    Setting {
        key: "auth",
        value: "METHOD",
        default: "cephx",
        allowed: "cephx or none",
        help: "How clients authenticate. With none everybody who reaches the ports may do everything.",
    },
    Setting {
        key: "osd-count",
        value: "N",
        default: "1",
        allowed: "a number from 1 to 64",
        help: "How many OSDs the cluster shows. Clients open a connection to each.",
    },
    Setting {
        key: "mask-features",
        value: "FEATURES",
        default: "none",
        allowed: "none, a hexadecimal word like 0x800000, or names like MSG_AUTH,CEPHX_V2",
        help: "Features not offered to clients, on any port but those of listeners that say otherwise: to see how a client does without.",
    },
    Setting {
        key: "modes",
        value: "MODES",
        default: "secure,crc",
        allowed: "secure,crc, or secure alone, or crc alone",
        help: "How msgr v2 connections may be protected. With secure alone every byte is encrypted, and msgr v1 is refused.",
    },
    Setting {
        key: "max-msgr",
        value: "VERSION",
        default: "v2.1",
        allowed: "v1, v2.0 or v2.1",
        help: "The newest messenger protocol that is spoken. With v1, maps name no v2 addresses; v2.0 has no secure mode.",
    },
    Setting {
        key: "compress",
        value: "MODE",
        default: "none",
        allowed: "none or force",
        help: "With force, msgr v2.1 frames are compressed for clients that want it, too (ms_osd_compress_mode = force in their ceph.conf).",
    },
    Setting {
        key: "compress-algorithms",
        value: "NAMES",
        default: "lz4,zstd,snappy",
        allowed: "names of lz4, zstd and snappy, separated by commas",
        help: "How frames may be compressed; the client's order of preference decides (ms_osd_compression_algorithm there).",
    },
    Setting {
        key: "compress-min-size",
        value: "BYTES",
        default: "1024",
        allowed: "a number of bytes",
        help: "Frames smaller than this are sent as they are.",
    },
    Setting {
        key: "compress-secure",
        value: "BOOL",
        default: "false",
        allowed: "true or false",
        help: "Compress in secure mode, too (ms_compress_secure at the client). The length of an encrypted frame then tells something of what is in it.",
    },
    Setting {
        key: "listen",
        value: "LISTENER",
        default: "none",
        allowed: "none, or IP:PORT[,max-msgr=VERSION][,mask-features=NAME+NAME...], given once for each listener (a list in \
                  the file; separated by semicolons in the variable)",
        help: "A further run of ports, from PORT on, for the monitor, the OSDs and the manager, with restrictions of its own: \
               v2 and v1 of each. Clients with its first port (or, of msgr v1, its second) in mon_host are given maps with \
               the addresses there, so that they stay there; all others do not notice. To see how a client does with an \
               older protocol, or without a feature: 127.0.0.1:7000,max-msgr=v1.",
    },
    Setting {
        key: "max-connections",
        value: "N",
        default: "20000",
        allowed: "a number from 1 on",
        help: "Connections that there may be at a time; further ones are closed at once. Each takes a file descriptor, too (ulimit -n).",
    },
    Setting {
        key: "max-handshakes",
        value: "N",
        default: "4096",
        allowed: "a number from 1 on",
        help: "Connections whose peers are not authenticated yet. When there are more, the oldest of them is cut off.",
    },
    Setting {
        key: "max-refusals",
        value: "N",
        default: "600",
        allowed: "a number; 0 for no bound",
        help: "Refused attempts to authenticate that an address may make in a minute. With more, nothing from there is let in for a while.",
    },
    Setting {
        key: "session-memory",
        value: "BYTES",
        default: "100M",
        allowed: "a number of bytes, with K, M or G for KiB, MiB or GiB",
        help: "What a client may have under way, and leave untaken of its answers, before it is not read from until that is less.",
    },
    Setting {
        key: "sessions-memory",
        value: "BYTES",
        default: "500M",
        allowed: "a number of bytes, with K, M or G for KiB, MiB or GiB",
        help: "The same for all clients together: it is shared among those that hold more than 1 MiB, which each may in any case.",
    },
    Setting {
        key: "read-cache",
        value: "BYTES",
        default: "auto",
        allowed: "auto, or a number of bytes, with K, M or G for KiB, MiB or GiB",
        help: "The most memory that is used for what images were lately read or written in requests of 256 KiB and more, to be read again from \
               there: it saves a read of the disk or of CurveBS, and half of the processor's work. With auto it is an eighth of the memory of the \
               machine or of the server's control group, and no more than 4G, which is what Ceph's OSDs take each. With 0 all memory is left to \
               the system, whose cache serves smaller requests in any case.",
    },
    Setting {
        key: "journal-size",
        value: "BYTES",
        default: "512M",
        allowed: "a number of bytes from 8M to 16G, with K, M or G for KiB, MiB or GiB",
        help: "The journal in the data folder, and no more than a sixteenth of its disk. Writes below 128 KiB (64 KiB where the disk is slow) go there first, and to \
               their image when it is three eighths full: a larger one takes longer bursts at full speed, and a start after a crash reads and writes up to as much again, \
               which takes that much memory. Changed at the next start.",
    },
    Setting {
        key: "checksums",
        value: "BOOL",
        default: "true",
        allowed: "true or false",
        help: "Keep checksums of what images in files hold, so that a block that the disk returns otherwise than it was written is an error \
               and not data. Images made with them keep them; others get them when they are scrubbed.",
    },
    Setting {
        key: "scrub-interval",
        value: "SECONDS",
        default: "604800",
        allowed: "a number of seconds; 0 for never",
        help: "How often what each image with checksums holds is read from the disk and verified, in the background.",
    },
    Setting {
        key: "scrub-rate",
        value: "BYTES",
        default: "32M",
        allowed: "a number of bytes from 64K on, with K, M or G for KiB, MiB or GiB",
        help: "How much of it is read in a second, at most.",
    },
    Setting {
        key: "log",
        value: "FILTER",
        default: "info",
        allowed: "error, warn, info, debug or trace, or filter directives like info,rbdgate::osd=debug",
        help: "What is logged to standard error.",
    },
];

/// The setting of that key.
#[must_use]
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}
