//! Capture files in libpcap's classic format (`pcap-savefile(5)`): both byte orders, microseconds and nanoseconds.
//!
//! A damaged file is read as far as it goes: where no packet record can stand, the reader says so and looks for
//! the next place where records follow each other again.

use std::fmt;

use bytes::Bytes;

/// A point in time: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    /// Seconds with six digits behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / NANOS, self.0 % NANOS / 1000)
    }
}

const NANOS: u64 = 1_000_000_000;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
/// First block type of a pcapng file, the same in both byte orders.
const MAGIC_PCAPNG: u32 = 0x0a0d_0d0a;
/// No packet is longer than this, whatever the file says (libpcap's `MAXIMUM_SNAPLEN`).
const MAX_PACKET: u32 = 256 << 10;
/// When looking for the next record in damaged parts: how far its time may be from the last good one, in seconds.
const TIME_WINDOW: u32 = 24 * 3600;

/// Why a file cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is not even a file header.
    #[error("{0} bytes are too short for a capture file")]
    TooShort(usize),
    /// Another format.
    #[error("not a pcap file (begins with {0:#010x})")]
    NotPcap(u32),
    /// The newer format, which is not read.
    #[error("a pcapng file; convert it: editcap -F pcap FILE OUT")]
    PcapNg,
}

/// A captured packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// When it was seen.
    pub time: Timestamp,
    /// The bytes that were kept.
    pub data: Bytes,
    /// Its length on the network; more than `data` if it was cut.
    pub original_len: u32,
}

/// A part of the file that holds no packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDamage {
    /// Offset in the (uncompressed) file, in bytes.
    pub offset: u64,
    /// How many bytes were passed over.
    pub len: u64,
    /// Whether the file just ends within a packet.
    pub cut: bool,
}

/// What the file holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A packet.
    Packet(Packet),
    /// Something else.
    Damage(FileDamage),
}

#[derive(Clone, Copy)]
struct RecordHeader {
    sec: u32,
    frac: u32,
    kept: u32,
    original: u32,
}

/// Reads a capture file that is in memory.
#[derive(Debug, Clone)]
pub struct PcapReader {
    file: Bytes,
    pos: usize,
    big_endian: bool,
    nanos: bool,
    link: u32,
    /// Seconds of the last packet.
    last_sec: Option<u32>,
}

impl PcapReader {
    /// Reads the file's header.
    ///
    /// # Errors
    /// If this is no pcap file.
    pub fn new(file: Bytes) -> Result<Self, FileError> {
        let Some(header) = file.first_chunk::<FILE_HEADER>() else {
            return Err(FileError::TooShort(file.len()));
        };
        let magic = [header[0], header[1], header[2], header[3]];
        let (little, big) = (u32::from_le_bytes(magic), u32::from_be_bytes(magic));
        let (big_endian, nanos) = match (little, big) {
            (MAGIC_MICROS, _) => (false, false),
            (MAGIC_NANOS, _) => (false, true),
            (_, MAGIC_MICROS) => (true, false),
            (_, MAGIC_NANOS) => (true, true),
            (MAGIC_PCAPNG, _) => return Err(FileError::PcapNg),
            _ => return Err(FileError::NotPcap(big)),
        };
        let mut reader = Self {
            file: file.clone(),
            pos: FILE_HEADER,
            big_endian,
            nanos,
            link: 0,
            last_sec: None,
        };
        // The upper bits say how long frame check sequences are.
        reader.link = reader.u32_at(20).unwrap_or_default() & 0xffff;
        Ok(reader)
    }

    /// The link layer of all packets (`LINKTYPE_*`).
    #[must_use]
    pub fn link(&self) -> u32 {
        self.link
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let raw = self.file.get(at..)?.first_chunk::<4>()?;
        Some(if self.big_endian {
            u32::from_be_bytes(*raw)
        } else {
            u32::from_le_bytes(*raw)
        })
    }

    /// The record header at `at`, if there can be one.
    fn header_at(&self, at: usize) -> Option<RecordHeader> {
        let h = RecordHeader {
            sec: self.u32_at(at)?,
            frac: self.u32_at(at + 4)?,
            kept: self.u32_at(at + 8)?,
            original: self.u32_at(at + 12)?,
        };
        let frac_end = if self.nanos { 1_000_000_000 } else { 1_000_000 };
        (h.frac < frac_end && h.kept <= h.original && h.kept <= MAX_PACKET).then_some(h)
    }

    fn end_of(at: usize, header: RecordHeader) -> usize {
        at + RECORD_HEADER + header.kept as usize
    }

    /// Whether a record stands at `at` and what follows it is one too: for looking around in damaged parts.
    fn record_at(&self, at: usize) -> bool {
        let near = |h: &RecordHeader| {
            h.kept > 0
                && self
                    .last_sec
                    .is_none_or(|last| last.abs_diff(h.sec) <= TIME_WINDOW)
        };
        let Some(header) = self.header_at(at).filter(near) else {
            return false;
        };
        let end = Self::end_of(at, header);
        end == self.file.len() || self.header_at(end).is_some_and(|h| near(&h))
    }

    fn skip_damage(&mut self) -> FileDamage {
        let from = self.pos;
        let cut = self.header_at(from).is_some();
        let to = (from + 1..self.file.len()).find(|at| self.record_at(*at));
        self.pos = to.unwrap_or(self.file.len());
        FileDamage {
            offset: from as u64,
            len: (self.pos - from) as u64,
            cut: cut && to.is_none(),
        }
    }
}

impl Iterator for PcapReader {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.pos >= self.file.len() {
            return None;
        }
        let Some(header) = self
            .header_at(self.pos)
            .filter(|h| Self::end_of(self.pos, *h) <= self.file.len())
        else {
            return Some(Entry::Damage(self.skip_damage()));
        };
        let end = Self::end_of(self.pos, header);
        let data = self.file.slice(self.pos + RECORD_HEADER..end);
        self.pos = end;
        self.last_sec = Some(header.sec);
        let nanos = u64::from(header.frac) * if self.nanos { 1 } else { 1000 };
        Some(Entry::Packet(Packet {
            time: Timestamp(u64::from(header.sec) * NANOS + nanos),
            data,
            original_len: header.original,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(big: bool, nanos: bool, packets: &[&[u8]]) -> Vec<u8> {
        let u32 = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut out = u32(if nanos { MAGIC_NANOS } else { MAGIC_MICROS }).to_vec();
        for word in [0x0004_0002, 0, 0, 65535, 1] {
            out.extend(u32(word));
        }
        for (n, p) in packets.iter().enumerate() {
            for word in [1000 + n as u32, 5, p.len() as u32, p.len() as u32] {
                out.extend(u32(word));
            }
            out.extend(*p);
        }
        out
    }

    fn packets(entries: &[Entry]) -> usize {
        entries.iter().filter(|e| matches!(e, Entry::Packet(_))).count()
    }

    #[test]
    fn both_byte_orders_and_both_clocks_are_read() {
        for (big, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
            let reader = PcapReader::new(file(big, nanos, &[b"abc", b"defg"]).into()).unwrap();
            assert_eq!(reader.link(), 1);
            let entries: Vec<_> = reader.collect();
            let Entry::Packet(second) = &entries[1] else {
                panic!()
            };
            assert_eq!(second.data, "defg");
            assert_eq!(second.time.0, 1001 * NANOS + if nanos { 5 } else { 5000 });
        }
    }

    #[test]
    fn other_files_are_refused_with_what_they_are() {
        let open = |bytes: &'static [u8]| PcapReader::new(Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(open(b"short"), FileError::TooShort(5));
        assert_eq!(open(&[0; 24]), FileError::NotPcap(0));
        assert_eq!(open(b"\x0a\x0d\x0d\x0a____________________"), FileError::PcapNg);
    }

    #[test]
    fn a_cut_file_gives_its_whole_packets_and_says_where_it_ends() {
        let whole = file(false, false, &[b"abc", b"defg"]);
        for n in 24 + 19 + 1..whole.len() {
            let entries: Vec<_> = PcapReader::new(whole[..n].to_vec().into()).unwrap().collect();
            assert_eq!(packets(&entries), 1, "{n}");
            let Entry::Damage(damage) = entries[1] else {
                panic!()
            };
            assert_eq!((damage.offset, damage.len), (24 + 19, n as u64 - 24 - 19));
        }
    }

    #[test]
    fn after_a_damaged_record_the_next_ones_are_found() {
        let mut bytes = file(false, false, &[b"abc", b"0123456789", b"defg", b"hi"]);
        bytes[24 + 19 + 8..][..4].copy_from_slice(&[0xff; 4]);
        let entries: Vec<_> = PcapReader::new(bytes.into()).unwrap().collect();
        assert_eq!(packets(&entries), 3);
        assert_eq!(
            entries[1],
            Entry::Damage(FileDamage {
                offset: 43,
                len: 26,
                cut: false
            })
        );
    }
}
