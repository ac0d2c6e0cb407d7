//! A file as the MDS describes it, checked.

use crate::{
    error::{Error, Inconsistent, Invalid, Result},
    proto::namespace::{FileInfo, FileStatus, FileType},
};

/// What an MDS without the field works with.
const DEFAULT_BLOCK_SIZE: u32 = 4096;

/// Sizes of a volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Offsets and lengths of I/O are multiples of this.
    pub block_size: u32,
    /// What is stored as one file on a chunkserver.
    pub chunk_size: u32,
    /// What is allocated at once.
    pub segment_size: u32,
    /// Bytes before the next chunk of a stripe; the chunk size if the volume is not striped.
    pub stripe_unit: u32,
    /// Chunks of a stripe; 1 if the volume is not striped.
    pub stripe_count: u32,
}

impl Geometry {
    /// Chunks of a segment.
    #[must_use]
    pub const fn chunks_per_segment(&self) -> u32 {
        self.segment_size / self.chunk_size
    }

    /// Whether a segment is a range of the volume.
    #[must_use]
    pub const fn segments_are_ranges(&self) -> bool {
        self.chunks_per_segment().is_multiple_of(self.stripe_count)
    }
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Inode.
    pub id: u64,
    /// Inode of its directory.
    pub parent_id: u64,
    /// The last component of its path.
    pub name: String,
    /// What it is.
    pub file_type: FileType,
    /// What happens to it.
    pub status: FileStatus,
    /// Whose it is.
    pub owner: String,
    /// Bytes.
    pub length: u64,
    /// The version that writes carry; each snapshot raises it.
    pub seq_num: u64,
    /// The fence; 0 if nobody has raised it.
    pub epoch: u64,
    /// Microseconds since the epoch.
    pub created: u64,
    /// Name of the poolset.
    pub poolset: String,
    /// Path of what it was cloned from, or empty.
    pub clone_source: String,
    /// Sizes; of volumes and snapshots.
    pub geometry: Option<Geometry>,
}

impl File {
    /// Checks what an MDS sent.
    ///
    /// # Errors
    /// [`Inconsistent::Geometry`] for a volume whose sizes do not fit each other.
    pub fn from_info(path: &str, info: FileInfo) -> Result<Self> {
        let file_type = FileType(info.file_type.unwrap_or(FileType::Directory.0));
        let geometry = match file_type {
            FileType::PageFile | FileType::SnapshotPageFile => Some(geometry(&info).map_err(|what| {
                Error::from(Inconsistent::Geometry {
                    path: path.to_owned(),
                    what,
                })
            })?),
            _ => None,
        };
        Ok(Self {
            id: info.id.unwrap_or(0),
            parent_id: info.parent_id.unwrap_or(0),
            name: info.file_name.unwrap_or_default(),
            file_type,
            status: FileStatus(info.file_status.unwrap_or(FileStatus::Created.0)),
            owner: info.owner.unwrap_or_default(),
            length: info.length.unwrap_or(0),
            seq_num: info.seq_num.unwrap_or(0),
            epoch: info.epoch.unwrap_or(0),
            created: info.ctime.unwrap_or(0),
            poolset: info.poolset.unwrap_or_default(),
            clone_source: info.clone_source.unwrap_or_default(),
            geometry,
        })
    }
}

fn geometry(info: &FileInfo) -> Result<Geometry, &'static str> {
    let block_size = info.block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
    let chunk_size = info.chunk_size.unwrap_or(0);
    let segment_size = info.segment_size.unwrap_or(0);
    if block_size == 0 || chunk_size == 0 || segment_size == 0 {
        return Err("a size is zero");
    }
    if !chunk_size.is_multiple_of(block_size) || !segment_size.is_multiple_of(chunk_size) {
        return Err("sizes are not multiples of each other");
    }
    let (unit, count) = (info.stripe_unit.unwrap_or(0), info.stripe_count.unwrap_or(0));
    let (stripe_unit, stripe_count) = match (unit, count) {
        (0, 0) | (_, 1) => (chunk_size, 1),
        (0, _) | (_, 0) => return Err("half a stripe"),
        (unit, count) => (
            u32::try_from(unit).map_err(|_| "stripe unit")?,
            u32::try_from(count).map_err(|_| "stripe count")?,
        ),
    };
    if !chunk_size.is_multiple_of(stripe_unit) || !stripe_unit.is_multiple_of(block_size) {
        return Err("stripes do not fit chunks");
    }
    Ok(Geometry {
        block_size,
        chunk_size,
        segment_size,
        stripe_unit,
        stripe_count,
    })
}

/// Whether an MDS takes a path: absolute, without empty parts, without a slash at its end.
///
/// # Errors
/// [`Invalid::Path`].
pub fn check_path(path: &str) -> Result<()> {
    if path == "/" || (path.starts_with('/') && !path.ends_with('/') && !path.contains("//")) {
        return Ok(());
    }
    Err(Invalid::Path(path.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> FileInfo {
        FileInfo {
            file_type: Some(FileType::PageFile.0),
            chunk_size: Some(16 << 20),
            segment_size: Some(1 << 30),
            ..Default::default()
        }
    }

    #[test]
    fn a_file_without_block_size_has_blocks_of_4096() {
        let geometry = File::from_info("/f", info())
            .expect("file")
            .geometry
            .expect("geometry");
        assert_eq!((geometry.block_size, geometry.stripe_count), (4096, 1));
        assert_eq!(geometry.chunks_per_segment(), 64);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let damage: [fn(&mut FileInfo); 6] = [
            |info| info.chunk_size = None,
            |info| info.segment_size = Some(0),
            |info| info.block_size = Some(3000),
            |info| info.segment_size = Some((16 << 20) + 1),
            |info| info.stripe_unit = Some(65536),
            |info| (info.stripe_unit, info.stripe_count) = (Some(u64::MAX), Some(2)),
        ];
        for damage in damage {
            let mut info = info();
            damage(&mut info);
            assert!(matches!(
                File::from_info("/f", info),
                Err(Error::Inconsistent(Inconsistent::Geometry { .. }))
            ));
        }
    }

    #[test]
    fn paths_are_absolute_and_have_no_empty_parts() {
        for good in ["/", "/a", "/a/b c", "/ü:@"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a/b", "/a/", "//", "/a//b"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
