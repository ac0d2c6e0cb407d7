//! Segments, and what frees their chunks.

use curve::proto::namespace::{FileInfo, FileStatus, PageFileChunkInfo, PageFileSegment, StatusCode};

use super::{Cleaning, Namespace, Outcome};

impl Namespace {
    /// `GetOrAllocateSegment`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn segment(
        &mut self,
        path: &str,
        offset: u64,
        allocate: bool,
        epoch: Option<u64>,
    ) -> Outcome<PageFileSegment> {
        if allocate
            && epoch.is_some_and(|epoch| self.file(path).is_ok_and(|info| info.epoch.unwrap_or(0) > epoch))
        {
            return Err(StatusCode::EpochTooOld);
        }
        let info = self.volume(path, StatusCode::ParaError)?;
        self.check_segment_offset(&info, offset)?;
        let key = (info.id(), offset);
        if let Some(segment) = self.segments.get(&key) {
            return Ok(segment.clone());
        }
        if !allocate {
            return Err(StatusCode::SegmentNotAllocated);
        }
        if self.allocated() + u64::from(info.segment_size()) > self.config.capacity {
            return Err(StatusCode::SegmentAllocateError);
        }
        let segment = self.allocate(&info, offset);
        self.segments.insert(key, segment.clone());
        Ok(segment)
    }

    fn check_segment_offset(&self, info: &FileInfo, offset: u64) -> Outcome<()> {
        let size = u64::from(info.segment_size());
        if offset.is_multiple_of(size) && offset.checked_add(size).is_some_and(|end| end <= info.length()) {
            Ok(())
        } else {
            Err(StatusCode::ParaError)
        }
    }

    fn allocate(&mut self, info: &FileInfo, offset: u64) -> PageFileSegment {
        let mut chunks = Vec::new();
        for _ in 0..info.segment_size() / info.chunk_size() {
            chunks.push(PageFileChunkInfo {
                chunk_id: self.next_chunk,
                copyset_id: self.next_copyset,
            });
            self.next_chunk += 1;
            self.next_copyset = self.next_copyset % self.config.copysets + 1;
        }
        PageFileSegment {
            logical_pool_id: self.config.logical_pool,
            start_offset: offset,
            segment_size: info.segment_size(),
            chunk_size: info.chunk_size(),
            chunks,
        }
    }

    /// `DeAllocateSegment`.
    ///
    /// # Errors
    /// The MDS's.
    pub fn deallocate(&mut self, path: &str, offset: u64) -> Outcome<()> {
        let info = self.volume(path, StatusCode::NotSupported)?;
        self.check_segment_offset(&info, offset)?;
        if info.file_status() == FileStatus::BeingCloned.0 {
            return Err(StatusCode::NotSupported);
        }
        let key = (info.id(), offset);
        if !self.segments.contains_key(&key) {
            return Err(StatusCode::SegmentNotAllocated);
        }
        if self.snapshots_of(info.id()).next().is_some() {
            return Err(StatusCode::FileUnderSnapShot);
        }
        if let Some(segment) = self.segments.remove(&key) {
            self.cleaning.push(Cleaning::Chunks(chunk_ids(&segment)));
        }
        Ok(())
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.segments
            .values()
            .map(|segment| u64::from(segment.segment_size))
            .sum()
    }

    /// Bytes of a file's segments.
    #[must_use]
    pub fn allocated_by(&self, id: u64) -> u64 {
        self.segments_of(id)
            .map(|segment| u64::from(segment.segment_size))
            .sum()
    }

    /// A file's segments.
    pub fn segments_of(&self, id: u64) -> impl Iterator<Item = &PageFileSegment> {
        self.segments
            .range((id, 0)..(id + 1, 0))
            .map(|(_, segment)| segment)
    }

    /// A deleted file is gone for good; its chunks.
    pub fn remove_file(&mut self, id: u64) -> Vec<u64> {
        let chunks = self.segments_of(id).flat_map(chunk_ids).collect();
        self.segments.retain(|(file, _), _| *file != id);
        self.files.retain(|_, info| info.id() != id);
        chunks
    }
}

fn chunk_ids(segment: &PageFileSegment) -> Vec<u64> {
    segment.chunks.iter().map(|chunk| chunk.chunk_id).collect()
}
