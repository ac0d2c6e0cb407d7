//! An open volume.

mod io;
pub mod layout;
pub mod order;
mod segments;
mod session;
mod start;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use layout::extents;
use order::Order;
use segments::Segments;
use tokio::sync::{Semaphore, watch};

use crate::{
    buffers::Buffers,
    client::Client,
    error::{Error, Invalid, Result},
    mds::Geometry,
    proto::{chunk::UpdateEpochRequest, namespace::FileType},
};

/// How a volume is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Raise the file's epoch and tell all chunkservers: writes of all clients that opened it before, with an epoch, are
    /// refused from then on. Also, nobody else is expected to write: what is not allocated is not asked about again.
    pub fence: bool,
    /// Keep no record at the MDS. Without one the volume can be deleted and renamed while it is open, and new versions are
    /// learnt only from refused writes.
    pub unrecorded: bool,
}

impl OpenOptions {
    /// As the only writer.
    #[must_use]
    pub const fn fenced() -> Self {
        Self {
            fence: true,
            unrecorded: false,
        }
    }
}

pub(crate) struct Inner {
    client: Client,
    path: String,
    file_id: u64,
    geometry: Geometry,
    length: AtomicU64,
    seq_num: AtomicU64,
    epoch: Option<u64>,
    sole: bool,
    recorded: bool,
    segments: Segments,
    order: Order,
    in_flight: Semaphore,
    /// Why nothing works any more.
    failed: Mutex<Option<Error>>,
    closed: watch::Sender<bool>,
}

/// An open volume. Clones share it.
///
/// An acknowledged write is durable: there is no flush. Writes that overlap are stored in the order in which they were
/// called; a write goes on when its future is dropped, because what has been sent cannot be taken back.
#[derive(Clone)]
pub struct Volume {
    inner: Arc<Inner>,
}

impl Volume {
    pub(crate) async fn open(client: Client, path: &str, options: OpenOptions) -> Result<Self> {
        let file = client.mds.open(path).await?;
        let Some(geometry) = file.geometry.filter(|_| file.file_type == FileType::PageFile) else {
            return Err(Invalid::NotAVolume(path.to_owned()).into());
        };
        let (file, fence) = if options.fence {
            let (file, servers) = client.mds.increase_epoch(path).await?;
            let epoch = file.epoch;
            (file, Some((epoch, servers)))
        } else {
            (file, None)
        };
        let epoch = fence
            .as_ref()
            .map(|(epoch, _)| *epoch)
            .or((file.epoch > 0).then_some(file.epoch));
        let inner = Arc::new(Inner {
            path: path.to_owned(),
            file_id: file.id,
            geometry,
            length: AtomicU64::new(file.length),
            seq_num: AtomicU64::new(file.seq_num),
            epoch,
            sole: options.fence,
            recorded: !options.unrecorded,
            segments: Segments::default(),
            order: Order::default(),
            in_flight: Semaphore::new(client.config.max_in_flight.max(1)),
            failed: Mutex::default(),
            closed: watch::Sender::new(false),
            client,
        });
        if let Some((epoch, servers)) = fence {
            inner.spread(epoch, &servers).await?;
        }
        if inner.recorded {
            // The record appears with the first refresh.
            inner.refresh().await?;
            tokio::spawn(session::keep(
                Arc::downgrade(&inner),
                inner.client.config.refresh_interval,
            ));
        }
        Ok(Self { inner })
    }

    /// The volume's path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Inode of the file.
    #[must_use]
    pub fn file_id(&self) -> u64 {
        self.inner.file_id
    }

    /// Sizes of blocks, chunks, segments and stripes.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.inner.geometry
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.inner.length.load(Ordering::Acquire)
    }

    /// Whether the volume has no bytes; none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version that writes carry.
    #[must_use]
    pub fn seq_num(&self) -> u64 {
        self.inner.seq_num.load(Ordering::Acquire)
    }

    /// The epoch that writes carry, if the file had one when it was opened.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.inner.epoch
    }

    /// Why nothing works any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.inner
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads. What was never written is zeros.
    ///
    /// # Errors
    /// [`Invalid`], or what a retry cannot mend; [`Error::Deadline`] if the configuration sets one.
    pub async fn read(&self, offset: u64, len: usize) -> Result<Buffers> {
        self.inner.check(offset, len as u64)?;
        let pieces = extents(
            &self.inner.geometry,
            offset,
            len,
            self.inner.client.config.max_rpc,
        );
        let read = self.inner.unless_closed(self.inner.clone().read(pieces, len));
        match self.inner.client.config.read_deadline {
            None => read.await,
            Some(limit) => tokio::time::timeout(limit, read)
                .await
                .unwrap_or(Err(Error::Deadline(limit))),
        }
    }

    /// Writes, and returns when the data is durable. Takes its place in the order when it is called.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Gone`], [`Invalid`], or what a retry cannot mend. Parts of a write that failed may be stored.
    pub fn write<D: Into<Buffers>>(
        &self,
        offset: u64,
        data: D,
    ) -> impl Future<Output = Result<()>> + Send + use<D> {
        let task = self.place_write(offset, data.into()).map(tokio::spawn);
        async move {
            // A task that panicked or was cancelled has ended with the runtime.
            task?.await.unwrap_or(Err(Error::Closed))
        }
    }

    /// Takes a write's place in the order. Returns what carries it out.
    fn place_write(
        &self,
        offset: u64,
        data: Buffers,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let inner = self.inner.clone();
        let checked = inner.check(offset, data.len() as u64);
        let turn = inner
            .order
            .enqueue(offset..offset.saturating_add(data.len() as u64));
        checked.map(|()| inner.write(offset, data, turn))
    }

    /// Gives whole segments back. They read as zeros afterwards. Waits for writes of the range.
    ///
    /// # Errors
    /// [`Invalid`]; `FileUnderSnapShot` while there is a snapshot.
    pub async fn discard(&self, offset: u64, len: u64) -> Result<()> {
        let inner = self.inner.clone();
        inner.check(offset, len)?;
        let segment_size = u64::from(inner.geometry.segment_size);
        if !inner.geometry.segments_are_ranges() {
            return Err(Invalid::StripedSegments.into());
        }
        if !offset.is_multiple_of(segment_size) || !len.is_multiple_of(segment_size) {
            return Err(Invalid::SegmentAlignment {
                offset,
                len,
                segment_size,
            }
            .into());
        }
        let mut turn = inner.order.enqueue(offset..offset + len);
        let task = tokio::spawn(async move {
            turn.granted().await;
            for number in offset / segment_size..(offset + len) / segment_size {
                inner.unless_closed(inner.discard_segment(number)).await?;
            }
            Ok(())
        });
        task.await.unwrap_or(Err(Error::Closed))
    }

    /// Makes the volume longer.
    ///
    /// # Errors
    /// As [`crate::mds::Mds::extend`].
    pub async fn extend(&self, length: u64) -> Result<()> {
        self.inner.alive()?;
        self.inner.client.mds.extend(&self.inner.path, length).await?;
        self.inner.raise_length(length);
        Ok(())
    }

    /// Whether the segment of a byte is allocated. Asks the MDS where it is not known.
    ///
    /// # Errors
    /// As [`Volume::read`].
    pub async fn is_allocated(&self, offset: u64) -> Result<bool> {
        self.inner
            .check(offset - offset % u64::from(self.inner.geometry.block_size), 0)?;
        let Some(extent) = extents(&self.inner.geometry, offset, 1, usize::MAX).pop() else {
            return Ok(false);
        };
        let number = self.inner.segment_of(extent.chunk).0;
        Ok(self.inner.segment(number, false).await?.is_some())
    }

    /// Waits until all writes called before are stored or refused.
    pub async fn drain(&self) {
        self.inner.order.drained().await;
    }

    /// Drains writes and adopts the next version, for a snapshot: `make` creates it.
    ///
    /// # Errors
    /// Those of `make`.
    pub async fn at_rest<T>(&self, make: impl Future<Output = Result<T>>) -> Result<T> {
        let mut turn = self.inner.order.enqueue(0..u64::MAX);
        turn.granted().await;
        let made = make.await?;
        self.inner.refresh_info().await?;
        Ok(made)
    }

    /// Waits for writes under way, and removes the record at the MDS.
    ///
    /// # Errors
    /// If the record could not be removed; it expires after 50 s.
    pub async fn close(self) -> Result<()> {
        self.drain().await;
        self.inner.closed.send_replace(true);
        if self.inner.recorded && self.failure().is_none() {
            self.inner.client.mds.close(&self.inner.path).await?;
        }
        Ok(())
    }

    /// Gives up at once: operations under way end with [`Error::Closed`], and writes among them may be stored or not.
    pub fn abandon(&self) {
        self.inner.closed.send_replace(true);
    }
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Volume {} of {} bytes", self.inner.path, self.len())
    }
}

impl Inner {
    fn alive(&self) -> Result<()> {
        if *self.closed.borrow() {
            return Err(Error::Closed);
        }
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The first failure is the one that is told.
    fn fail(&self, error: Error) {
        tracing::warn!(path = self.path, %error, "volume failed");
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    fn fenced(&self) -> Error {
        Error::Fenced {
            path: self.path.clone(),
        }
    }

    fn raise_length(&self, length: u64) {
        self.length.fetch_max(length, Ordering::AcqRel);
    }

    fn raise_seq_num(&self, seq_num: u64) {
        self.seq_num.fetch_max(seq_num, Ordering::AcqRel);
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        self.alive()?;
        let block_size = self.geometry.block_size;
        if !offset.is_multiple_of(block_size.into()) || !len.is_multiple_of(block_size.into()) {
            return Err(Invalid::Alignment {
                offset,
                len,
                block_size,
            }
            .into());
        }
        let size = self.length.load(Ordering::Acquire);
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(Invalid::Range { offset, len, size }.into());
        }
        Ok(())
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            result = work => result,
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
        }
    }

    async fn refresh_info(&self) -> Result<()> {
        let file = self.told(|| self.client.mds.file(&self.path)).await?;
        self.learn(&file);
        Ok(())
    }

    async fn spread(
        self: &Arc<Self>,
        epoch: u64,
        servers: &[crate::proto::common::ChunkServerLocation],
    ) -> Result<()> {
        let config = &self.client.config;
        let request = UpdateEpochRequest {
            file_id: self.file_id,
            epoch,
        };
        let timing = session::Timing {
            limit: config.leader_timeout,
            budget: config.epoch_budget,
        };
        let down = session::spread_epoch(&self.client.rpc, &self.path, request, servers, timing).await?;
        if !down.is_empty() {
            tracing::warn!(
                path = self.path,
                epoch,
                ?down,
                "chunkservers that do not run are told of the epoch later"
            );
            tokio::spawn(session::tell_late(
                Arc::downgrade(self),
                request,
                down,
                timing.limit,
            ));
        }
        Ok(())
    }
}
