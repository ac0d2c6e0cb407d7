//! What an erasure-coded pool refuses, as Ceph's does (`PrimaryLogPG::do_osd_ops`). Objects are stored as in any other
//! pool; clients rely on the refusals, for instance to find out whether a pool can hold the data of images.

use encoding::{
    Errno,
    maps::PgPool,
    types::{OpArgs, OpCode, OsdOp},
};

use super::{context::Context, ops_data};

/// The kind of pool that an object is in, as far as ops depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PoolKind {
    /// Takes all ops.
    #[default]
    Replicated,
    /// Has no omap, and classes cannot read data.
    Erasure {
        /// Objects grow only at their end, by stripes of this width.
        append_alignment: Option<u64>,
    },
}

impl PoolKind {
    /// The kind of a pool.
    #[must_use]
    pub(super) fn of(pool: &PgPool) -> Self {
        match pool.is_erasure() {
            false => Self::Replicated,
            true => Self::Erasure {
                append_alignment: pool.append_alignment().map(u64::from),
            },
        }
    }

    /// Fails where the pool has no omap.
    pub(super) fn check_omap(self) -> Result<(), Errno> {
        self.check_replicated()
    }

    /// Fails where an op is for replicated pools only.
    pub(super) const fn check_replicated(self) -> Result<(), Errno> {
        match self {
            Self::Replicated => Ok(()),
            Self::Erasure { .. } => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Fails where objects may not be truncated, or zeroed in parts.
    pub(super) const fn check_overwrite(self) -> Result<(), Errno> {
        match self {
            Self::Erasure {
                append_alignment: Some(_),
            } => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }

    /// Fails where a write at `offset` of an object of `size` bytes (0 if it does not exist) may not be made.
    pub(super) const fn check_write(self, offset: u64, size: u64) -> Result<(), Errno> {
        match self {
            Self::Erasure {
                append_alignment: Some(width),
            } if offset != size || width == 0 || !offset.is_multiple_of(width) => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }
}

/// Fails for an op that the object's pool does not take. What is malformed is for the op itself to refuse.
pub(super) fn check(ctx: &Context<'_>, op: &OsdOp) -> Result<(), Errno> {
    let pool = ctx.request.pool;
    if pool == PoolKind::Replicated {
        return Ok(());
    }
    match op.op {
        OpCode::SYNC_READ
        | OpCode::MAPEXT
        | OpCode::TMAPGET
        | OpCode::TMAPPUT
        | OpCode::TMAPUP
        | OpCode::TMAP2OMAP => pool.check_replicated(),
        OpCode::OMAPSETVALS
        | OpCode::OMAPSETHEADER
        | OpCode::OMAPCLEAR
        | OpCode::OMAPRMKEYS
        | OpCode::OMAPRMKEYRANGE => pool.check_omap(),
        OpCode::ZERO if ops_data::is_idle_zero(ctx, op) => Ok(()),
        OpCode::ZERO | OpCode::TRUNCATE | OpCode::TRIMTRUNC => pool.check_overwrite(),
        OpCode::APPEND => pool.check_write(ctx.state.size, ctx.state.size),
        OpCode::WRITE | OpCode::WRITESAME => match (op.args(), op.indata.len() as u64) {
            (OpArgs::Extent { offset, length, .. }, given) if length == given => {
                pool.check_write(offset, ctx.state.size)
            }
            (
                OpArgs::WriteSame {
                    offset,
                    length,
                    data_length,
                },
                given,
            ) if given == data_length
                && data_length != 0
                && length != 0
                && length.is_multiple_of(data_length) =>
            {
                pool.check_write(offset, ctx.state.size)
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNED: PoolKind = PoolKind::Erasure {
        append_alignment: Some(8192),
    };
    const OVERWRITES: PoolKind = PoolKind::Erasure {
        append_alignment: None,
    };

    #[test]
    fn without_overwrites_objects_grow_at_their_end_by_stripes() {
        assert!(ALIGNED.check_write(0, 0).is_ok());
        assert!(ALIGNED.check_write(8192, 8192).is_ok());
        assert!(ALIGNED.check_write(8192, 0).is_err(), "not at the end");
        assert!(ALIGNED.check_write(0, 8192).is_err(), "an overwrite");
        assert!(ALIGNED.check_write(100, 100).is_err(), "in a stripe");
        assert!(ALIGNED.check_overwrite().is_err());
    }

    #[test]
    fn with_overwrites_only_omap_is_missing() {
        assert!(OVERWRITES.check_write(5, 8192).is_ok());
        assert!(OVERWRITES.check_overwrite().is_ok());
        assert!(OVERWRITES.check_omap().is_err());
        assert!(PoolKind::Replicated.check_omap().is_ok());
    }
}
