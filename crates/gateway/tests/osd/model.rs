//! What an object is, and what ops make of it: the simplest thing that can be right.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use disk_sim::Random;
use encoding::{
    Errno, Features,
    codec::Put,
    types::{OpArgs, OpCode, OpFlags, OsdOp},
};

/// Bytes by name.
pub(crate) type Rows = BTreeMap<Bytes, Bytes>;

/// `MAX_ERRNO`: what comes before the place of the first difference in the result of `cmpext`.
const MAX_ERRNO: i32 = 4095;

/// `osd_max_write_op_reply_len`: an op of a vector that writes may answer with so many bytes.
pub(crate) const WRITE_REPLY: usize = 64;

/// What an object holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    pub(crate) data: Vec<u8>,
    pub(crate) xattrs: Rows,
    pub(crate) omap: Rows,
    pub(crate) header: Bytes,
}

/// An object, and what it was at each snapshot that was taken before its last change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    pub(crate) head: Option<Content>,
    pub(crate) snaps: BTreeMap<u64, Option<Content>>,
}

/// An op of which the model knows what it does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(u64, Vec<u8>),
    WriteFull(Vec<u8>),
    Append(Vec<u8>),
    WriteSame(u64, Vec<u8>, u64),
    Truncate(u64),
    Zero(u64, u64),
    Create { exclusive: bool },
    Delete,
    SetXattr(Bytes, Bytes),
    RmXattr(Bytes),
    GetXattr(Bytes),
    OmapSet(Rows),
    OmapRm(Vec<Bytes>),
    OmapClear,
    OmapHeader(Bytes),
    OmapGet,
    Read(u64, u64),
    Stat,
    CmpExt(u64, Vec<u8>),
    Rollback(u64),
}

impl Object {
    /// What it is at a snapshot.
    #[must_use]
    pub(crate) fn at(&self, snap: u64) -> Option<&Content> {
        self.snaps.get(&snap).unwrap_or(&self.head).as_ref()
    }

    /// Runs a vector of a client that knows of snapshots 1 to `newest`; the output of each op, or the error, with which nothing has
    /// changed.
    ///
    /// # Errors
    /// Those that an OSD answers with.
    pub(crate) fn run(&mut self, vector: &[Step], newest: u64) -> Result<Vec<Option<Bytes>>, Errno> {
        // Without a write it is not even looked for (`PrimaryLogPG::do_op`).
        if self.head.is_none() && !vector.iter().any(Step::writes) {
            return Err(Errno::ENOENT);
        }
        let mut head = self.head.clone();
        let out: Vec<Option<Bytes>> = vector
            .iter()
            .map(|step| step.run(&mut head, self))
            .collect::<Result<_, _>>()?;
        if head != self.head {
            let seen = self.snaps.keys().next_back().copied().unwrap_or(0);
            self.snaps
                .extend((seen + 1..=newest).map(|snap| (snap, self.head.clone())));
            self.head = head;
        }
        Ok(out)
    }
}

fn some(head: &mut Option<Content>) -> &mut Content {
    head.get_or_insert_default()
}

fn there(head: &mut Option<Content>) -> Result<&mut Content, Errno> {
    head.as_mut().ok_or(Errno::ENOENT)
}

/// What a vector that writes reads of an object, which need not be there.
fn known(head: &Option<Content>) -> Content {
    head.clone().unwrap_or_default()
}

impl Content {
    fn write(&mut self, at: u64, data: &[u8]) {
        let (at, end) = (at as usize, at as usize + data.len());
        self.data.resize(self.data.len().max(end), 0);
        self.data[at..end].copy_from_slice(data);
    }

    fn range(&self, at: u64, len: u64) -> &[u8] {
        let at = (at as usize).min(self.data.len());
        &self.data[at..(at + len as usize).min(self.data.len())]
    }
}

impl Step {
    /// What it does to an object whose other ops have made `head` of it, and its output, where that is known.
    fn run(&self, head: &mut Option<Content>, object: &Object) -> Result<Option<Bytes>, Errno> {
        match self {
            Self::Write(at, data) => some(head).write(*at, data),
            Self::WriteFull(data) => some(head).data = data.clone(),
            Self::Append(data) => some(head).data.extend_from_slice(data),
            Self::WriteSame(at, data, times) => some(head).write(*at, &data.repeat(*times as usize)),
            Self::Truncate(len) => {
                if let Some(content) = head {
                    content.data.resize(*len as usize, 0);
                }
            }
            // Zeros up to the end cut the object there (`PrimaryLogPG::do_osd_ops`).
            Self::Zero(at, len) => {
                if let Some(content) = head {
                    let size = content.data.len() as u64;
                    if at + len >= size {
                        content.data.truncate(*at as usize);
                    } else {
                        content.write(*at, &vec![0; *len as usize]);
                    }
                }
            }
            Self::Create { exclusive: true } if head.is_some() => return Err(Errno::EEXIST),
            Self::Create { .. } => drop(some(head)),
            Self::Delete => *head = there(head).map(|_| None)?,
            Self::SetXattr(name, value) => drop(some(head).xattrs.insert(name.clone(), value.clone())),
            Self::RmXattr(name) => drop(there(head)?.xattrs.remove(name)),
            // Of an object that is not there it is ENOENT, but not if clones are left of it: see `play::run`.
            Self::GetXattr(name) => {
                let value = known(head).xattrs.get(name).cloned();
                return value.ok_or(Errno::ENODATA).map(Some);
            }
            Self::OmapSet(rows) => some(head).omap.extend(rows.clone()),
            Self::OmapRm(keys) => {
                let content = there(head)?;
                keys.iter().for_each(|key| drop(content.omap.remove(key)));
            }
            Self::OmapClear => {
                let content = there(head)?;
                content.omap.clear();
                content.header.clear();
            }
            Self::OmapHeader(value) => some(head).header = value.clone(),
            Self::OmapGet => return Ok(Some(omap_reply(&known(head).omap))),
            Self::Read(at, len) => {
                return Ok(Some(Bytes::copy_from_slice(known(head).range(*at, *len))));
            }
            Self::Stat => drop(there(head)?),
            Self::CmpExt(at, data) => return compare(known(head).range(*at, data.len() as u64), data),
            Self::Rollback(snap) => {
                if let Some(then) = object.snaps.get(snap) {
                    *head = then.clone();
                }
            }
        }
        Ok(None)
    }

    pub(crate) const fn writes(&self) -> bool {
        !matches!(
            self,
            Self::GetXattr(_) | Self::OmapGet | Self::Read(..) | Self::Stat | Self::CmpExt(..)
        )
    }

    /// As it is sent.
    #[must_use]
    pub(crate) fn op(&self) -> OsdOp {
        match self {
            Self::Write(at, data) => extent(OpCode::WRITE, *at, data.len() as u64, data),
            Self::WriteFull(data) => extent(OpCode::WRITEFULL, 0, data.len() as u64, data),
            Self::Append(data) => extent(OpCode::APPEND, 0, data.len() as u64, data),
            Self::WriteSame(at, data, times) => {
                let args = OpArgs::WriteSame {
                    offset: *at,
                    length: data.len() as u64 * times,
                    data_length: data.len() as u64,
                };
                OsdOp::new(OpCode::WRITESAME, args, Bytes::copy_from_slice(data))
            }
            Self::Truncate(len) => extent(OpCode::TRUNCATE, *len, 0, &[]),
            Self::Zero(at, len) => extent(OpCode::ZERO, *at, *len, &[]),
            Self::Create { exclusive } => {
                let mut op = plain(OpCode::CREATE, Bytes::new());
                if *exclusive {
                    op.flags |= OpFlags::EXCL;
                }
                op
            }
            Self::Delete => plain(OpCode::DELETE, Bytes::new()),
            Self::SetXattr(name, value) => xattr(OpCode::SETXATTR, name, value),
            Self::RmXattr(name) => xattr(OpCode::RMXATTR, name, &[]),
            Self::GetXattr(name) => xattr(OpCode::GETXATTR, name, &[]),
            Self::OmapSet(rows) => encoded(OpCode::OMAPSETVALS, |out| out.put_map(rows, Features::ALL)),
            Self::OmapRm(keys) => encoded(OpCode::OMAPRMKEYS, |out| out.put_vec(keys.iter(), Features::ALL)),
            Self::OmapClear => plain(OpCode::OMAPCLEAR, Bytes::new()),
            Self::OmapHeader(value) => plain(OpCode::OMAPSETHEADER, value.clone()),
            Self::OmapGet => omap_get(),
            Self::Read(at, len) => extent(OpCode::READ, *at, *len, &[]),
            Self::Stat => plain(OpCode::STAT, Bytes::new()),
            Self::CmpExt(at, data) => extent(OpCode::CMPEXT, *at, data.len() as u64, data),
            Self::Rollback(snapid) => {
                OsdOp::new(OpCode::ROLLBACK, OpArgs::Snap { snapid: *snapid }, Bytes::new())
            }
        }
    }

    /// One that is chosen at random, for an object as it is.
    pub(crate) fn choose(random: &mut Random, object: &Object) -> Self {
        let name = |random: &mut Random| Bytes::from(format!("n{}", random.below(4)));
        match random.below(24) {
            0..5 => Self::Write(place(random), bytes(random)),
            5 => Self::WriteFull(bytes(random)),
            6 => Self::Append(bytes(random)),
            7 => Self::WriteSame(
                place(random),
                vec![random.below(256) as u8; 512],
                random.below(9) + 1,
            ),
            8 => Self::Truncate(place(random)),
            9 | 10 => Self::Zero(place(random), place(random) + 1),
            11 => Self::Create {
                exclusive: random.one_in(2),
            },
            12 => Self::Delete,
            13 => Self::SetXattr(name(random), vec![1; random.below(300) as usize].into()),
            14 => Self::RmXattr(name(random)),
            15 => Self::GetXattr(name(random)),
            16 => {
                let count = random.below(4);
                Self::OmapSet(
                    (0..count)
                        .map(|n| (name(random), vec![n as u8; 5].into()))
                        .collect(),
                )
            }
            17 => Self::OmapRm((0..random.below(3)).map(|_| name(random)).collect()),
            18 if random.one_in(2) => Self::OmapClear,
            18 => Self::OmapHeader(vec![2; random.below(20) as usize].into()),
            19 => Self::OmapGet,
            20 => Self::Read(place(random), place(random) + 1),
            21 => Self::Stat,
            22 => {
                let (at, len) = (place(random), random.below(600) + 1);
                let there = object.head.as_ref().map_or(&[][..], |head| head.range(at, len));
                let mut data = there.to_vec();
                // Mostly what is there.
                if data.is_empty() || random.one_in(4) {
                    data.push(random.below(3) as u8);
                }
                Self::CmpExt(at, data)
            }
            _ => match object.snaps.len() as u64 {
                0 => Self::Stat,
                known => Self::Rollback(random.below(known) + 1),
            },
        }
    }
}

/// Compares as `cmpext`: what is not there counts as zeros.
fn compare(there: &[u8], wanted: &[u8]) -> Result<Option<Bytes>, Errno> {
    let found = |at: usize| there.get(at).copied().unwrap_or(0);
    match (0..wanted.len()).find(|at| found(*at) != wanted[*at]) {
        Some(at) => Err(Errno(MAX_ERRNO + at as i32)),
        None => Ok(None),
    }
}

fn place(random: &mut Random) -> u64 {
    let grain = [1, 512, 4096, 65_536][random.below(4) as usize];
    (random.below(200_000) / grain) * grain
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let longest = [16, 600, 5000, 100_000][random.below(4) as usize];
    vec![random.below(256) as u8; random.below(longest) as usize + 1]
}

fn plain(op: OpCode, data: Bytes) -> OsdOp {
    OsdOp::new(op, OpArgs::Raw([0; 28]), data)
}

fn encoded(op: OpCode, put: impl FnOnce(&mut BytesMut)) -> OsdOp {
    let mut data = BytesMut::new();
    put(&mut data);
    plain(op, data.freeze())
}

/// An op on a range.
#[must_use]
pub(crate) fn extent(op: OpCode, offset: u64, length: u64, data: &[u8]) -> OsdOp {
    OsdOp::on_range(op, offset, length, Bytes::copy_from_slice(data))
}

fn xattr(op: OpCode, name: &[u8], value: &[u8]) -> OsdOp {
    let args = OpArgs::Xattr {
        name_len: name.len() as u32,
        value_len: value.len() as u32,
        cmp_op: 0,
        cmp_mode: 0,
    };
    OsdOp::new(op, args, [name, value].concat().into())
}

/// All keys and values.
#[must_use]
pub(crate) fn omap_get() -> OsdOp {
    encoded(OpCode::OMAPGETVALS, |out| {
        out.put_blob(b"");
        out.put_u64_le(10_000);
        out.put_blob(b"");
    })
}

fn omap_reply(rows: &Rows) -> Bytes {
    let mut out = BytesMut::new();
    out.put_map(rows, Features::ALL);
    out.put_bool(false);
    out.freeze()
}
