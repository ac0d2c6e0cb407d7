//! Frames: reading them off a buffer and writing them to a queue of pieces, in crc and in secure mode.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::codec::{ceph_crc32c, wire_len};

use crate::{
    error::{Incompatible, Malformed, Result},
    room::{self, Shape},
};

use super::{
    banner::Revision,
    compression::{Algorithm, Compressor, Decompressor},
    crypto::Gcm,
    preamble::{MAX_SEGMENTS, PREAMBLE_LEN, Preamble, Tag},
    segments::{
        CRC_EPILOGUE, CRC_EPILOGUE_V20, CRC_LEN, DATA, INLINE, Limits, SECURE_EPILOGUE, SECURE_HEAD, TAG_LEN,
        alignment, crc_of_first, crc_rest, padded, secure_rest,
    },
};

/// `FRAME_LATE_STATUS_ABORTED_MASK` and its two values.
const LATE_MASK: u8 = 0xf;
const LATE_ABORTED: u8 = 0x1;
const LATE_COMPLETE: u8 = 0xe;

/// `FRAME_LATE_FLAG_ABORTED` of v2.0.
const FLAG_ABORTED_V20: u8 = 1;

/// A value, or how many more bytes it takes to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<T> {
    /// Here it is.
    Ready(T),
    /// At least so many bytes are missing.
    Need(usize),
}

/// A received frame. Segments are slices of the buffer it was received into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub tag: Tag,
    /// Its segments; those absent are empty.
    pub segments: [Bytes; MAX_SEGMENTS],
}

/// A preamble whose frame has not wholly arrived.
struct Head {
    preamble: Preamble,
    /// What of the first segment came with it (secure mode).
    inline: Bytes,
}

/// Reads frames.
#[derive(Default)]
pub struct FrameReader {
    revision: Revision,
    gcm: Option<Gcm>,
    decompressor: Option<Decompressor>,
    head: Option<Head>,
    /// Of the last frame that began.
    shape: Shape,
}

impl FrameReader {
    /// In crc mode.
    pub(super) fn crc(revision: Revision) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    /// In secure mode, which there is in v2.1 only.
    pub(super) fn secure(gcm: Gcm) -> Self {
        Self {
            gcm: Some(gcm),
            ..Self::default()
        }
    }

    /// Frames may be compressed from here on; none if the algorithm is not spoken here.
    pub fn decompress(&mut self, algorithm: Algorithm) {
        self.decompressor = Decompressor::new(algorithm);
    }

    /// Readers of what the client and of what the server sends in secure mode, for who listens to both and knows
    /// the connection secret. None if the secret is too short.
    #[must_use]
    pub fn observers(connection_secret: &[u8]) -> Option<[Self; 2]> {
        let (of_client, _) = Gcm::pair(connection_secret, false)?;
        let (of_server, _) = Gcm::pair(connection_secret, true)?;
        Some([Self::secure(of_client), Self::secure(of_server)])
    }

    /// The next frame of `rx`, leaving `rx` behind it. Frames that their sender aborted are skipped.
    pub fn next(&mut self, rx: &mut BytesMut, limits: &Limits) -> Result<Progress<Frame>> {
        loop {
            if self.head.is_none()
                && let Progress::Need(n) = self.read_head(rx, limits)?
            {
                return Ok(Progress::Need(n));
            }
            let Some(head) = &self.head else { continue };
            let rest = self.rest(&head.preamble);
            if rx.len() < rest {
                return Ok(Progress::Need(rest - rx.len()));
            }
            let body = room::take_message(rx, rest);
            let Some(head) = self.head.take() else { continue };
            let compressed = head.preamble.compressed;
            let frame = match &mut self.gcm {
                None if self.revision == Revision::V20 => open_crc_v20(&head.preamble, room::freeze(body))?,
                None => open_crc(&head.preamble, room::freeze(body))?,
                Some(gcm) => open_secure(gcm, head, body)?,
            };
            if let Some(frame) = frame {
                return Ok(Progress::Ready(match &mut self.decompressor {
                    Some(decompressor) if compressed => unpack(decompressor, frame, limits)?,
                    _ => frame,
                }));
            }
        }
    }

    /// What the last frame looks like.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the data of the frame that has not wholly arrived begins, behind its head; none if that is not there.
    pub(super) fn data_at(&self) -> Option<usize> {
        let head = self.head.as_ref()?;
        Some(self.data_behind_head(&head.preamble))
    }

    /// Bytes behind a head.
    fn rest(&self, preamble: &Preamble) -> usize {
        match &self.gcm {
            None => crc_rest(preamble, self.revision),
            Some(_) => {
                let (first, others) = secure_rest(preamble);
                first + others
            }
        }
    }

    fn data_behind_head(&self, preamble: &Preamble) -> usize {
        let lens = preamble.lens().map(|len| len as usize);
        match &self.gcm {
            None => lens.take(DATA).sum::<usize>() + crc_of_first(preamble, self.revision),
            Some(_) => secure_rest(preamble).0 + lens.take(DATA).skip(1).map(padded).sum::<usize>(),
        }
    }

    fn read_head(&mut self, rx: &mut BytesMut, limits: &Limits) -> Result<Progress<()>> {
        let len = if self.gcm.is_some() {
            SECURE_HEAD
        } else {
            PREAMBLE_LEN
        };
        if rx.len() < len {
            return Ok(Progress::Need(len - rx.len()));
        }
        let mut raw = rx.split_to(len);
        if let Some(gcm) = &mut self.gcm {
            gcm.open(&mut raw)?;
        }
        let raw = raw.freeze();
        let Some(block) = raw.first_chunk::<PREAMBLE_LEN>() else {
            return Ok(Progress::Need(len));
        };
        let preamble = Preamble::parse(block)?;
        limits.check(&preamble)?;
        if preamble.compressed && self.decompressor.is_none() {
            return Err(Incompatible::Compression.into());
        }
        let inline = match self.gcm {
            Some(_) => raw.slice(PREAMBLE_LEN..PREAMBLE_LEN + INLINE),
            None => Bytes::new(),
        };
        self.shape = Shape {
            len: len + self.rest(&preamble),
            data_at: len + self.data_behind_head(&preamble),
        };
        self.head = Some(Head { preamble, inline });
        Ok(Progress::Ready(()))
    }
}

fn unpack(decompressor: &mut Decompressor, mut frame: Frame, limits: &Limits) -> Result<Frame> {
    for ((number, segment), max) in frame.segments.iter_mut().enumerate().zip(limits.bounds()) {
        *segment = decompressor.segment(number, segment, max)?;
    }
    Ok(frame)
}

/// Checks and cuts up a crc frame whose length is right. None if it was aborted.
fn open_crc(preamble: &Preamble, mut body: Bytes) -> Result<Option<Frame>> {
    let mut segments = <[Bytes; MAX_SEGMENTS]>::default();
    let first = preamble.segments[0].0 as usize;
    if first > 0 {
        segments[0] = body.split_to(first);
        let crc = body.split_to(CRC_LEN);
        check_crc(0, &segments[0], &crc)?;
    }
    if preamble.count == 1 {
        return Ok(Some(Frame {
            tag: preamble.tag,
            segments,
        }));
    }
    let epilogue = body.split_off(body.len() - CRC_EPILOGUE);
    for ((n, segment), len) in segments.iter_mut().enumerate().zip(preamble.lens()).skip(1) {
        *segment = body.split_to(len as usize);
        check_crc(n, segment, &epilogue[1 + (n - 1) * CRC_LEN..][..CRC_LEN])?;
    }
    finish(preamble.tag, segments, epilogue[0])
}

/// The same in v2.0: all checksums stand at the end.
fn open_crc_v20(preamble: &Preamble, mut body: Bytes) -> Result<Option<Frame>> {
    let mut segments = <[Bytes; MAX_SEGMENTS]>::default();
    let epilogue = body.split_off(body.len() - CRC_EPILOGUE_V20);
    let crcs = epilogue[1..].chunks(CRC_LEN);
    for (n, ((segment, len), crc)) in segments.iter_mut().zip(preamble.lens()).zip(crcs).enumerate() {
        *segment = body.split_to(len as usize);
        check_crc(n, segment, crc)?;
    }
    let aborted = epilogue[0] & FLAG_ABORTED_V20 != 0;
    Ok((!aborted).then_some(Frame {
        tag: preamble.tag,
        segments,
    }))
}

fn open_secure(gcm: &mut Gcm, head: Head, mut body: BytesMut) -> Result<Option<Frame>> {
    let Head { preamble, inline } = head;
    let mut segments = <[Bytes; MAX_SEGMENTS]>::default();
    let (first_rest, _) = secure_rest(&preamble);
    let first = preamble.segments[0].0 as usize;
    segments[0] = if first_rest == 0 {
        inline.slice(..first)
    } else {
        let mut rest = body.split_to(first_rest);
        let rest = gcm.open(&mut rest)?;
        let mut joined = BytesMut::with_capacity(INLINE + rest.len());
        joined.put_slice(&inline);
        joined.put_slice(rest);
        joined.truncate(first);
        joined.freeze()
    };
    if preamble.count == 1 {
        return Ok(Some(Frame {
            tag: preamble.tag,
            segments,
        }));
    }
    gcm.open(&mut body)?;
    let mut body = room::freeze(body);
    for (segment, len) in segments.iter_mut().zip(preamble.lens()).skip(1) {
        let len = len as usize;
        *segment = body.split_to(padded(len)).slice(..len);
    }
    finish(preamble.tag, segments, body[0])
}

fn finish(tag: Tag, segments: [Bytes; MAX_SEGMENTS], late_status: u8) -> Result<Option<Frame>> {
    match late_status & LATE_MASK {
        LATE_COMPLETE => Ok(Some(Frame { tag, segments })),
        LATE_ABORTED => Ok(None),
        _ => Err(Malformed::LateStatus(late_status).into()),
    }
}

fn check_crc(segment: usize, data: &[u8], crc: &[u8]) -> Result<()> {
    if ceph_crc32c(u32::MAX, data).to_le_bytes() == *crc || cfg!(fuzzing) {
        Ok(())
    } else {
        Err(Malformed::SegmentCrc(segment).into())
    }
}

/// Pieces below this length are copied together; longer ones are queued as they are.
const COPY_BELOW: usize = 2048;

/// Bytes to be sent, in pieces, so that they can be written with one vectored call and bulk data is not copied.
#[derive(Debug, Default)]
pub struct Output {
    queue: VecDeque<Bytes>,
    /// Small pieces not yet queued.
    tail: BytesMut,
    len: usize,
}

impl Output {
    /// Bytes waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces that wait, oldest first.
    pub fn pieces(&mut self) -> impl Iterator<Item = &Bytes> {
        self.flush_tail();
        self.queue.iter()
    }

    /// Forgets the first `n` bytes, which were sent.
    pub fn advance(&mut self, mut n: usize) {
        self.flush_tail();
        self.len = self.len.saturating_sub(n);
        while let Some(front) = self.queue.front_mut() {
            if n < front.len() {
                let _ = front.split_to(n);
                return;
            }
            n -= front.len();
            self.queue.pop_front();
        }
    }

    /// Takes everything, joined: for tests and transports without vectored writes.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        self.flush_tail();
        self.len = 0;
        let mut out = BytesMut::new();
        for piece in self.queue.drain(..) {
            out.extend_from_slice(&piece);
        }
        out.freeze()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.tail.clear();
        self.len = 0;
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.queue.push_back(self.tail.split().freeze());
        }
    }

    pub(crate) fn put(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < COPY_BELOW {
            self.tail.extend_from_slice(&piece);
        } else {
            self.flush_tail();
            self.queue.push_back(piece);
        }
    }

    /// Appends what `write` writes.
    pub(crate) fn put_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        if self.tail.capacity() - before < COPY_BELOW {
            self.tail.reserve(4 * COPY_BELOW);
        }
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }
}

/// Writes frames.
#[derive(Default)]
pub struct FrameWriter {
    revision: Revision,
    gcm: Option<Gcm>,
    compressor: Option<Compressor>,
}

impl FrameWriter {
    /// In crc mode.
    pub(super) fn crc(revision: Revision) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    /// In secure mode, which there is in v2.1 only.
    pub(super) fn secure(gcm: Gcm) -> Self {
        Self {
            gcm: Some(gcm),
            ..Self::default()
        }
    }

    /// Compresses frames of at least `min_size` bytes from here on; none if the algorithm is not spoken here.
    pub(super) fn compress(&mut self, algorithm: Algorithm, min_size: usize) {
        self.compressor = Compressor::new(algorithm, min_size);
    }

    /// A control frame.
    pub(crate) fn put_control(&mut self, tag: Tag, payload: &[u8], out: &mut Output) {
        self.put(tag, payload, [&[], &[], &[]], out);
    }

    /// A frame: first segment, and the pieces of the other three.
    pub(super) fn put(&mut self, tag: Tag, first: &[u8], others: [&[Bytes]; 3], out: &mut Output) {
        let packed = self.compressor.as_mut().and_then(|c| c.frame(first, others));
        if let Some([first, a, b, c]) = &packed {
            let others = [a, b, c].map(std::slice::from_ref);
            self.put_as_is((tag, true), first, others, out);
        } else {
            self.put_as_is((tag, false), first, others, out);
        }
    }

    fn put_as_is(
        &mut self,
        (tag, compressed): (Tag, bool),
        first: &[u8],
        others: [&[Bytes]; 3],
        out: &mut Output,
    ) {
        let mut segments = [(0, 0); MAX_SEGMENTS];
        let lens = std::iter::once(first.len())
            .chain(others.iter().map(|pieces| pieces.iter().map(Bytes::len).sum()));
        let mut count = 1;
        for (n, len) in lens.enumerate() {
            segments[n] = (wire_len(len), alignment(tag, n));
            if len > 0 {
                count = n + 1;
            }
        }
        for absent in &mut segments[count..] {
            *absent = (0, 0);
        }
        let preamble = Preamble {
            tag,
            count,
            compressed,
            segments,
        };
        match &mut self.gcm {
            None if self.revision == Revision::V20 => put_crc_v20(&preamble, first, others, out),
            None => put_crc(&preamble, first, others, out),
            Some(gcm) => put_secure(gcm, &preamble, first, others, out),
        }
    }
}

fn put_crc(preamble: &Preamble, first: &[u8], others: [&[Bytes]; 3], out: &mut Output) {
    out.put_with(|b| {
        preamble.put(b);
        if !first.is_empty() {
            b.put_slice(first);
            b.put_u32_le(ceph_crc32c(u32::MAX, first));
        }
    });
    if preamble.count == 1 {
        return;
    }
    let mut crcs = [0; MAX_SEGMENTS - 1];
    for (n, pieces) in others.iter().enumerate().take(preamble.count - 1) {
        crcs[n] = pieces.iter().fold(u32::MAX, |crc, piece| ceph_crc32c(crc, piece));
        for piece in *pieces {
            out.put(piece.clone());
        }
    }
    out.put_with(|b| {
        b.put_u8(LATE_COMPLETE);
        for crc in crcs {
            b.put_u32_le(crc);
        }
    });
}

fn put_crc_v20(preamble: &Preamble, first: &[u8], others: [&[Bytes]; 3], out: &mut Output) {
    out.put_with(|b| {
        preamble.put(b);
        b.put_slice(first);
    });
    let mut crcs = [0; MAX_SEGMENTS];
    crcs[0] = ceph_crc32c(u32::MAX, first);
    for (n, pieces) in others.iter().enumerate().take(preamble.count - 1) {
        crcs[n + 1] = pieces.iter().fold(u32::MAX, |crc, piece| ceph_crc32c(crc, piece));
        for piece in *pieces {
            out.put(piece.clone());
        }
    }
    out.put_with(|b| {
        b.put_u8(0);
        for crc in crcs {
            b.put_u32_le(crc);
        }
    });
}

fn put_secure(gcm: &mut Gcm, preamble: &Preamble, first: &[u8], others: [&[Bytes]; 3], out: &mut Output) {
    let (inline, rest) = first.split_at(first.len().min(INLINE));
    out.put_with(|b| {
        let at = b.len();
        preamble.put(b);
        b.put_slice(inline);
        b.put_bytes(0, INLINE - inline.len());
        let tag = gcm.seal(&mut b[at..]);
        b.put_slice(&tag);
        if !rest.is_empty() {
            let at = b.len();
            b.put_slice(rest);
            b.put_bytes(0, padded(rest.len()) - rest.len());
            let tag = gcm.seal(&mut b[at..]);
            b.put_slice(&tag);
        }
    });
    if preamble.count == 1 {
        return;
    }
    let (_, others_len) = secure_rest(preamble);
    let mut body = BytesMut::with_capacity(others_len);
    for (pieces, len) in others.iter().zip(preamble.lens().skip(1)) {
        for piece in *pieces {
            body.put_slice(piece);
        }
        let len = len as usize;
        body.put_bytes(0, padded(len) - len);
    }
    body.put_u8(LATE_COMPLETE);
    body.put_bytes(0, SECURE_EPILOGUE - 1);
    let tag: [u8; TAG_LEN] = gcm.seal(&mut body);
    body.put_slice(&tag);
    out.put(body.freeze());
}
