//! Reading, writing and discarding an open volume.

use std::sync::{Arc, atomic::Ordering};

use tokio::task::JoinSet;

use super::{
    Inner,
    layout::Extent,
    order::Turn,
    segments::{Cached, Slot},
};
use crate::{
    buffers::Buffers,
    chunk::{ChunkAddress, EpochTooOld, Version},
    copyset::CopysetId,
    error::{Error, Inconsistent, Result},
    mds::Segment,
    volume::layout::extents,
};

impl Inner {
    pub(super) const fn segment_of(&self, chunk: u64) -> (u64, usize) {
        let per_segment = self.geometry.chunks_per_segment() as u64;
        (chunk / per_segment, (chunk % per_segment) as usize)
    }

    /// A segment's chunks; `None` if it is not allocated and is not to be.
    pub(super) async fn segment(&self, number: u64, allocate: bool) -> Result<Option<Arc<Segment>>> {
        let slot = self.segments.slot(number);
        let known = |slot: &Slot| match slot.get(self.sole) {
            Cached::Segment(segment) => Some(Some(segment)),
            Cached::Absent if !allocate => Some(None),
            _ => None,
        };
        if let Some(known) = known(&slot) {
            return Ok(known);
        }
        let _asking = slot.asking.lock().await;
        if let Some(known) = known(&slot) {
            return Ok(known);
        }
        let offset = number * u64::from(self.geometry.segment_size);
        let mds = &self.client.mds;
        let ask = || mds.segment(&self.path, &self.geometry, offset, allocate, self.epoch);
        let segment = self.told(ask).await?.map(Arc::new);
        if let Some(segment) = &segment {
            self.client.chunks.copysets().prefetch(segment).await?;
        }
        slot.set(segment.clone());
        Ok(segment)
    }

    async fn chunk(&self, chunk: u64, allocate: bool) -> Result<Option<ChunkAddress>> {
        let (number, index) = self.segment_of(chunk);
        let Some(segment) = self.segment(number, allocate).await? else {
            return Ok(None);
        };
        let offset = number * u64::from(self.geometry.segment_size);
        let entry = segment.chunks.get(index).ok_or(Inconsistent::Segment {
            offset,
            what: "too few chunks",
        })?;
        Ok(Some(ChunkAddress {
            copyset: CopysetId {
                pool: segment.pool,
                copyset: entry.copyset,
            },
            chunk: entry.id,
        }))
    }

    pub(super) async fn read(self: Arc<Self>, mut pieces: Vec<Extent>, len: usize) -> Result<Buffers> {
        if pieces.len() == 1
            && let Some(extent) = pieces.pop()
        {
            let data = self.read_extent(&extent).await?;
            return Ok(scatter(vec![(extent, data)], len));
        }
        let mut reading = JoinSet::new();
        for extent in pieces {
            let volume = self.clone();
            reading.spawn(async move {
                let data = volume.read_extent(&extent).await?;
                Ok::<_, Error>((extent, data))
            });
        }
        let mut read = Vec::with_capacity(reading.len());
        while let Some(piece) = reading.join_next().await {
            // Dropping the set on an error stops the other reads.
            read.push(piece.unwrap_or(Err(Error::Closed))?);
        }
        Ok(scatter(read, len))
    }

    async fn read_extent(&self, extent: &Extent) -> Result<Buffers> {
        let zeros = || Buffers::zeros(extent.len as usize);
        let Some(address) = self.chunk(extent.chunk, false).await? else {
            return Ok(zeros());
        };
        let _permit = self.in_flight.acquire().await.map_err(|_| Error::Closed)?;
        let data = self
            .client
            .chunks
            .read(address, extent.offset, extent.len)
            .await?;
        Ok(data.map_or_else(zeros, Buffers::from))
    }

    pub(super) async fn write(self: Arc<Self>, offset: u64, data: Buffers, mut turn: Turn) -> Result<()> {
        turn.granted().await;
        self.alive()?;
        let mut pieces = extents(&self.geometry, offset, data.len(), self.client.config.max_rpc);
        if pieces.len() == 1
            && let Some(extent) = pieces.pop()
        {
            return self.write_extent(&extent, gather(&extent, &data)).await;
        }
        let mut writing = JoinSet::new();
        for extent in pieces {
            let (volume, data) = (self.clone(), gather(&extent, &data));
            writing.spawn(async move { volume.write_extent(&extent, data).await });
        }
        // All parts are resolved before the range is free again, also after a failure.
        let mut result = Ok(());
        while let Some(written) = writing.join_next().await {
            result = result.and(written.unwrap_or(Err(Error::Closed)));
        }
        drop(turn);
        result
    }

    async fn write_extent(&self, extent: &Extent, data: Buffers) -> Result<()> {
        self.unless_closed(async {
            let address = self
                .chunk(extent.chunk, true)
                .await?
                .ok_or(Inconsistent::Missing {
                    method: "GetOrAllocateSegment",
                    what: "a segment",
                })?;
            let _permit = self.in_flight.acquire().await.map_err(|_| Error::Closed)?;
            match self
                .client
                .chunks
                .write(address, extent.offset, data, self)
                .await?
            {
                Ok(()) => Ok(()),
                Err(EpochTooOld) => {
                    self.fail(self.fenced());
                    Err(self.fenced())
                }
            }
        })
        .await
    }

    pub(super) async fn discard_segment(&self, number: u64) -> Result<()> {
        let slot = self.segments.slot(number);
        // Nobody learns the old chunks again while they are given back.
        let _asking = slot.asking.lock().await;
        slot.forget();
        let offset = number * u64::from(self.geometry.segment_size);
        self.client.mds.deallocate_segment(&self.path, offset).await?;
        slot.set(None);
        Ok(())
    }
}

impl Version for Inner {
    fn file_id(&self) -> u64 {
        self.file_id
    }

    fn sn(&self) -> u64 {
        self.seq_num.load(Ordering::Acquire)
    }

    fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    async fn renew(&self, refused: u64) -> Result<()> {
        if self.sn() > refused {
            return Ok(());
        }
        self.refresh_info().await?;
        self.alive()
    }
}

/// The data of an extent, from the whole write.
fn gather(extent: &Extent, data: &Buffers) -> Buffers {
    let mut gathered = Buffers::new();
    for (start, len) in &extent.parts {
        gathered.append(data.slice(*start, *len));
    }
    gathered
}

/// The data of extents, in the order of the request.
fn scatter(read: Vec<(Extent, Buffers)>, len: usize) -> Buffers {
    if let [(extent, _)] = read.as_slice()
        && extent.parts.len() == 1
    {
        return read.into_iter().map(|(_, data)| data).next().unwrap_or_default();
    }
    let mut parts = Vec::new();
    for (extent, data) in &read {
        let mut at = 0;
        for (start, part) in &extent.parts {
            parts.push((*start, data.slice(at, *part)));
            at += part;
        }
    }
    parts.sort_unstable_by_key(|(start, _)| *start);
    let mut whole = Buffers::new();
    for (_, part) in parts {
        whole.append(part);
    }
    debug_assert_eq!(whole.len(), len);
    whole
}
