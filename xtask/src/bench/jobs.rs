//! The jobs: loads that are run on each side.

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// fio's word for the kind of load.
    pub(super) rw: &'static str,
    /// Bytes of a request, as fio writes it.
    pub(super) block: &'static str,
    /// Requests under way, of each client.
    pub(super) depth: u32,
    pub(super) client: Client,
    /// The reference that runs the same load.
    pub(super) reference: Option<Reference>,
}

/// Who asks the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// fio with librbd, in crc mode.
    Librbd,
    /// So many of them at a time, each with an image of its own.
    Several(u32),
    /// One, right after a snapshot of the image was made.
    AfterSnapshot,
    /// One, in secure mode. Of rbdgate alone.
    Secure,
    /// One thread that speaks msgr v2 without librados.
    Lean(Lean),
}

/// How the lean client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    /// In crc mode.
    Crc,
    /// The same, of rbdgate alone.
    CrcHere,
    /// In secure mode, of rbdgate alone.
    Secure,
    /// In crc mode, right after a snapshot of the image was made.
    AfterSnapshot,
}

/// What the limit of a load is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// fio with io_uring and O_DIRECT on a file of the same disk, writes with O_DSYNC.
    Disk,
    /// fio's nbd engine and `qemu-nbd` over loopback TCP on the same file, writes durable, reads through the page cache.
    Nbd,
}

impl Job {
    /// Whether Ceph's daemons are asked the same.
    pub(super) fn on_ceph(&self) -> bool {
        !matches!(
            self.client,
            Client::Secure | Client::Lean(Lean::Secure | Lean::CrcHere)
        )
    }

    /// Bytes of a request.
    pub(super) fn block_bytes(&self) -> u64 {
        let (number, unit) = self.block.split_at(self.block.len() - 1);
        let unit = if unit == "M" { 1 << 20 } else { 1 << 10 };
        number.parse().unwrap_or(4) * unit
    }

    /// Whether it writes.
    pub(super) fn writes(&self) -> bool {
        self.rw.contains("write") || self.rw == "randrw"
    }

    const fn by(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    const fn beside(mut self, reference: Reference) -> Self {
        self.reference = Some(reference);
        self
    }
}

/// A job of one librbd.
pub(super) const fn job(name: &'static str, rw: &'static str, block: &'static str, depth: u32) -> Job {
    Job {
        name,
        rw,
        block,
        depth,
        client: Client::Librbd,
        reference: None,
    }
}

/// How many clients ask at a time where it is several.
pub(super) const CLIENTS: u32 = 4;

const LEAN: Client = Client::Lean(Lean::Crc);
const LEAN_HERE: Client = Client::Lean(Lean::CrcHere);
const LEAN_SECURE: Client = Client::Lean(Lean::Secure);

pub(super) const WRITE_1: &str = "4k random write, qd 1";
pub(super) const WRITE_32: &str = "4k random write, qd 32";
pub(super) const WRITE_4X32: &str = "4k random write, 4 clients x qd 32";
pub(super) const WRITE_SNAPSHOT: &str = "4k random write, qd 32, after a snapshot";
pub(super) const READ_1: &str = "4k random read, qd 1";
pub(super) const READ_32: &str = "4k random read, qd 32";
pub(super) const MEDIUM_WRITE: &str = "64k random write, qd 16";
pub(super) const MEDIUM_READ: &str = "64k random read, qd 16";
pub(super) const LARGE_WRITE: &str = "4M write, qd 8";
pub(super) const LARGE_READ: &str = "4M read, qd 8";
pub(super) const MIX: &str = "16k 70/30 mix, qd 16";
pub(super) const SECURE_WRITE: &str = "4k random write, qd 32, secure";
pub(super) const SECURE_READ: &str = "4k random read, qd 32, secure";
pub(super) const LEAN_WRITE_1: &str = "4k random write, qd 1, lean client";
pub(super) const LEAN_WRITE_32: &str = "4k random write, qd 32, lean client";
pub(super) const LEAN_READ_1: &str = "4k random read, qd 1, lean client";
pub(super) const LEAN_READ_32: &str = "4k random read, qd 32, lean client";
pub(super) const LEAN_MEDIUM_WRITE: &str = "64k random write, qd 16, lean client";
pub(super) const LEAN_MEDIUM_READ: &str = "64k random read, qd 16, lean client";
pub(super) const LEAN_LARGE_WRITE: &str = "4M write, qd 8, lean client";
pub(super) const LEAN_LARGE_READ: &str = "4M read, qd 8, lean client";
pub(super) const LEAN_WRITE_SNAPSHOT: &str = "4k random write, qd 32, after a snapshot, lean client";
pub(super) const LEAN_WRITE_64: &str = "4k random write, qd 64, lean client";
pub(super) const LEAN_READ_64: &str = "4k random read, qd 64, lean client";
pub(super) const LEAN_WRITE_SECURE: &str = "4k random write, qd 64, lean client, secure";
pub(super) const LEAN_READ_SECURE: &str = "4k random read, qd 64, lean client, secure";

/// The table of jobs, in the order of a round. Snapshots are the last: what they leave behind is cleared away between the
/// rounds.
pub(super) const JOBS: [Job; 26] = [
    job(WRITE_1, "randwrite", "4k", 1).beside(Reference::Disk),
    job(WRITE_32, "randwrite", "4k", 32).beside(Reference::Disk),
    job(WRITE_4X32, "randwrite", "4k", 32)
        .by(Client::Several(CLIENTS))
        .beside(Reference::Disk),
    job(READ_1, "randread", "4k", 1).beside(Reference::Nbd),
    job(READ_32, "randread", "4k", 32).beside(Reference::Nbd),
    job(MEDIUM_WRITE, "randwrite", "64k", 16).beside(Reference::Nbd),
    job(MEDIUM_READ, "randread", "64k", 16).beside(Reference::Nbd),
    job(LARGE_WRITE, "write", "4M", 8).beside(Reference::Disk),
    job(LARGE_READ, "read", "4M", 8).beside(Reference::Disk),
    job(MIX, "randrw", "16k", 16),
    job(SECURE_WRITE, "randwrite", "4k", 32).by(Client::Secure),
    job(SECURE_READ, "randread", "4k", 32).by(Client::Secure),
    job(LEAN_WRITE_1, "randwrite", "4k", 1).by(LEAN),
    job(LEAN_WRITE_32, "randwrite", "4k", 32).by(LEAN),
    job(LEAN_READ_1, "randread", "4k", 1).by(LEAN),
    job(LEAN_READ_32, "randread", "4k", 32).by(LEAN),
    job(LEAN_MEDIUM_WRITE, "randwrite", "64k", 16).by(LEAN),
    job(LEAN_MEDIUM_READ, "randread", "64k", 16).by(LEAN),
    job(LEAN_LARGE_WRITE, "write", "4M", 8).by(LEAN),
    job(LEAN_LARGE_READ, "read", "4M", 8).by(LEAN),
    job(LEAN_WRITE_64, "randwrite", "4k", 64).by(LEAN_HERE),
    job(LEAN_WRITE_SECURE, "randwrite", "4k", 64).by(LEAN_SECURE),
    job(LEAN_READ_64, "randread", "4k", 64).by(LEAN_HERE),
    job(LEAN_READ_SECURE, "randread", "4k", 64).by(LEAN_SECURE),
    job(WRITE_SNAPSHOT, "randwrite", "4k", 32).by(Client::AfterSnapshot),
    job(LEAN_WRITE_SNAPSHOT, "randwrite", "4k", 32).by(Client::Lean(Lean::AfterSnapshot)),
];
