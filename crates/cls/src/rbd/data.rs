//! Data objects: copy-up from a parent, and giving back blocks of zeros.

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ, ASSERT_SNAPC_SEQ_LE_SNAPSET_SEQ},
};

use crate::{
    ObjectContext, Result,
    support::{args, check_exists, done},
};

/// `rbd.copyup`: the argument becomes the content of an object that does not exist yet.
pub(crate) fn copyup(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    if !ctx.exists() {
        ctx.write(0, input)?;
    }
    done()
}

/// `rbd.sparse_copyup`: as `copyup`, with a map of offsets to lengths and the data of these extents.
pub(crate) fn sparse_copyup(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (extents, mut data) = args(&input, |r| Ok((r.map::<u64, u64>()?, r.blob()?)))?;
    if ctx.exists() {
        return done();
    }
    if extents.is_empty() {
        ctx.create(true)?;
    }
    for (off, len) in extents {
        match usize::try_from(len) {
            Ok(len) if len <= data.len() => ctx.write(off, data.split_to(len))?,
            _ => return Err(Errno::EINVAL),
        }
    }
    done()
}

/// `rbd.assert_snapc_seq`: ERANGE unless a snap context is newer than the object, or is not.
pub(crate) fn assert_snapc_seq(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (seq, state) = args(&input, |r| Ok((r.u64()?, r.u8()?)))?;
    let newer = ctx.snapset_seq().is_none_or(|snapset| seq > snapset);
    let holds = match state {
        ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ => newer,
        ASSERT_SNAPC_SEQ_LE_SNAPSET_SEQ => !newer,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    if holds { done() } else { Err(Errno::ERANGE) }
}

/// `rbd.sparsify`: rewrites the object without blocks of zeros of the given size, in bytes; removes it, if asked
/// to, when nothing is left.
pub(crate) fn sparsify(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (block, remove_empty) = args(&input, |r| Ok((r.u64()?, r.bool()?)))?;
    check_exists(ctx)?;
    let block = match usize::try_from(block) {
        Ok(0) => return Err(Errno::EINVAL),
        n => n.unwrap_or(usize::MAX),
    };
    let content = ctx.read(0, ctx.size())?;
    if is_zero(&content) {
        if remove_empty {
            ctx.remove()?;
        } else if !content.is_empty() {
            ctx.truncate(0)?;
        }
        return done();
    }
    let runs = data_runs(&content, block);
    if runs == [(0, content.len())] {
        return done();
    }
    ctx.truncate(0)?;
    for (from, to) in runs {
        ctx.write(from as u64, content.slice(from..to))?;
    }
    done()
}

fn is_zero(data: &[u8]) -> bool {
    data.iter().all(|b| *b == 0)
}

/// Where blocks that are not zero follow each other: from, to.
fn data_runs(content: &[u8], block: usize) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    for part in content.chunks(block) {
        let to = from + part.len();
        if !is_zero(part) {
            match runs.last_mut() {
                Some(run) if run.1 == from => run.1 = to,
                _ => runs.push((from, to)),
            }
        }
        from = to;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_whole_blocks_with_data_in_them() {
        assert_eq!(data_runs(&[0, 0, 1, 0, 2, 0, 0, 0, 3], 2), [(2, 6), (8, 9)]);
        assert_eq!(data_runs(&[1, 2, 3], usize::MAX), [(0, 3)]);
        assert_eq!(data_runs(&[], 2), []);
    }
}
