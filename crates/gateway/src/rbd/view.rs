//! What an image reads at a snapshot or at its head, its parents included.

use bytes::{Bytes, BytesMut};
use encoding::{
    Errno,
    cls::rbd::{MigrationHeaderType, NOSNAP},
};

use super::{Header, Image, image::object_name, layout::Layout};
use crate::rados::{IoCtx, ops};

/// Clones deeper than this are a circle.
const MAX_DEPTH: usize = 64;

/// An image at one moment, as a source of data.
#[derive(Debug)]
pub(super) struct View {
    data: IoCtx,
    prefix: Bytes,
    layout: Layout,
    snap: u64,
    size: u64,
    /// What lies under it, and how many bytes of that are seen.
    parent: Option<(Box<Self>, u64)>,
}

impl View {
    /// An image at a snapshot, or at its head.
    ///
    /// # Errors
    /// ENOENT if the snapshot or a parent is gone.
    pub(super) fn of(image: &Image, snap: u64) -> Result<Self, Errno> {
        Self::build(image, snap, 0)
    }

    /// What lies under an image's head, if there is something, and how many bytes of it are seen.
    ///
    /// # Errors
    /// ENOENT if the parent is gone.
    pub(super) fn parent_of(image: &Image) -> Result<Option<(Self, u64)>, Errno> {
        Self::under(image, NOSNAP, 0)
    }

    fn build(image: &Image, snap: u64, depth: usize) -> Result<Self, Errno> {
        if depth > MAX_DEPTH {
            return Err(Errno::ELOOP);
        }
        let size = match snap {
            NOSNAP => image.header.size,
            id => image.header.snaps.get(&id).ok_or(Errno::ENOENT)?.size,
        };
        Ok(Self {
            data: image.data.clone(),
            prefix: image.header.prefix.clone(),
            layout: image.header.layout,
            snap,
            size,
            parent: Self::under(image, snap, depth)?.map(|(view, overlap)| (Box::new(view), overlap)),
        })
    }

    fn under(image: &Image, snap: u64, depth: usize) -> Result<Option<(Self, u64)>, Errno> {
        if let Some(source) = migration_source(image, snap)? {
            let (source, snap, overlap) = source;
            return Ok(Some((Self::build(&source, snap, depth + 1)?, overlap)));
        }
        let Header {
            parent, head_overlap, ..
        } = &image.header;
        let overlap = match snap {
            NOSNAP => *head_overlap,
            id => image.header.snaps.get(&id).and_then(|s| s.parent_overlap),
        };
        let Some(overlap) = overlap.filter(|o| *o > 0 && parent.exists()) else {
            return Ok(None);
        };
        let pool = image.ioctx.rados().open_pool_id(parent.pool_id)?;
        let pool = pool.with_namespace(parent.pool_namespace.clone());
        let parent_image = Image::open_by_id(&pool, &parent.image_id)?;
        Ok(Some((
            Self::build(&parent_image, parent.snap_id, depth + 1)?,
            overlap,
        )))
    }

    /// Reads a range; what nothing was ever written to is zeros. `length` is bounded by the caller.
    ///
    /// # Errors
    /// Of reading.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<BytesMut, Errno> {
        let mut out = BytesMut::zeroed(usize::try_from(length).map_err(|_| Errno::EINVAL)?);
        let seen = self.size.saturating_sub(offset).min(length);
        for piece in self.layout.pieces(offset, seen) {
            let into = (piece.at - offset) as usize;
            let into = &mut out[into..into + piece.length as usize];
            let name = object_name(&self.prefix, piece.object);
            let op = ops::read(piece.offset, piece.length);
            match self.data.submit_read(&name, vec![op], self.snap)?.wait() {
                Ok(reply) => {
                    let mut at = 0;
                    for data in reply.ops.iter().flat_map(|op| &op.outdata) {
                        let n = data.len().min(into.len() - at);
                        into[at..at + n].copy_from_slice(&data[..n]);
                        at += n;
                    }
                }
                Err(Errno::ENOENT) => {
                    if let Some((parent, overlap)) = &self.parent {
                        let n = overlap.saturating_sub(piece.at).min(piece.length);
                        into[..n as usize].copy_from_slice(&parent.read(piece.at, n)?);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    /// What the image itself has of the object of an image with that layout, without its parents; none if that is nothing.
    ///
    /// # Errors
    /// Of reading.
    pub(super) fn own_object(&self, layout: &Layout, object: u64) -> Result<Option<Bytes>, Errno> {
        let (mut out, mut any) = (BytesMut::new(), false);
        for piece in layout.pieces_of(object) {
            let seen = self.size.saturating_sub(piece.at).min(piece.length);
            for own in self.layout.pieces(piece.at, seen) {
                let at = (piece.offset + own.at - piece.at) as usize;
                let name = object_name(&self.prefix, own.object);
                let op = ops::read(own.offset, own.length);
                match self.data.submit_read(&name, vec![op], self.snap)?.wait() {
                    Ok(reply) => {
                        any = true;
                        out.resize(at, 0);
                        for data in reply.ops.iter().flat_map(|op| &op.outdata) {
                            out.extend_from_slice(data);
                        }
                    }
                    Err(Errno::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(any.then(|| out.freeze()))
    }

    /// Whether the image itself has something of the object of an image with that layout.
    ///
    /// # Errors
    /// Of reading.
    pub(super) fn has_own(&self, layout: &Layout, object: u64) -> Result<bool, Errno> {
        for piece in layout.pieces_of(object) {
            let seen = self.size.saturating_sub(piece.at).min(piece.length);
            for own in self.layout.pieces(piece.at, seen) {
                let name = object_name(&self.prefix, own.object);
                match self.data.submit_read(&name, vec![ops::stat()], self.snap)?.wait() {
                    Ok(_) => return Ok(true),
                    Err(Errno::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(false)
    }

    /// The content of an object of an image with that layout, as far as it comes from the first `overlap` bytes of this view.
    /// None if that is zeros, or nothing at all.
    ///
    /// # Errors
    /// Of reading.
    pub(super) fn object(&self, layout: &Layout, object: u64, overlap: u64) -> Result<Option<Bytes>, Errno> {
        let mut out = BytesMut::new();
        for piece in layout.pieces_of(object) {
            let n = overlap.saturating_sub(piece.at).min(piece.length);
            if n == 0 {
                break;
            }
            out.resize(piece.offset as usize, 0);
            out.unsplit(self.read(piece.at, n)?);
        }
        if out.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        Ok(Some(out.freeze()))
    }
}

/// Where an image that is being migrated takes its data from: the source, its snapshot, and how much of it.
fn migration_source(image: &Image, snap: u64) -> Result<Option<(Image, u64, u64)>, Errno> {
    let Some(spec) = &image.header.migration else {
        return Ok(None);
    };
    if spec.header_type != MigrationHeaderType::DST {
        return Ok(None);
    }
    if !spec.source_spec.is_empty() {
        // Sources that are files or streams are read by librbd's own drivers.
        return Err(Errno::EOPNOTSUPP);
    }
    let of_source = match snap {
        NOSNAP => Some(NOSNAP),
        id => spec
            .snap_seqs
            .iter()
            .find(|(_, dst)| **dst == id)
            .map(|(src, _)| *src),
    };
    let Some(of_source) = of_source else {
        return Ok(None);
    };
    let pool = image.ioctx.rados().open_pool_id(spec.pool_id)?;
    let pool = pool.with_namespace(spec.pool_namespace.clone());
    let source = Image::open_by_id(&pool, &spec.image_id)?;
    let size = match of_source {
        NOSNAP => spec.overlap,
        id => source.header.snaps.get(&id).ok_or(Errno::ENOENT)?.size,
    };
    Ok(Some((source, of_source, size)))
}
