//! Live migration: what the headers of source and destination say of each other.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{MigrationHeaderType, MigrationSpec, MigrationState, features},
};

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, args, done, need_key, read_key, reply_with, rm_key_if_any, write_key},
};

/// `RBD_HEADER_TEXT` and `RBD_MIGRATE_HEADER_TEXT`, with the zero byte behind them: what a header of the old
/// format starts with.
const HEADER_TEXT: &[u8] = b"<<< Rados Block Device Image >>>\n\0";
const MIGRATE_HEADER_TEXT: &[u8] = b"<<< Migrating RBD Image      >>>\n\0";

/// How an image of the old format starts; ENXIO if it is none. True if it is being migrated.
fn old_format_migrates(ctx: &Ctx<'_>) -> Result<bool> {
    let text = ctx.read(0, HEADER_TEXT.len() as u64)?;
    match &text[..] {
        HEADER_TEXT => Ok(false),
        MIGRATE_HEADER_TEXT => Ok(true),
        _ => Err(Errno::ENXIO),
    }
}

fn write_old_format(ctx: &mut Ctx<'_>, text: &'static [u8]) -> Result<()> {
    ctx.write(0, Bytes::from_static(&text[..text.len() - 1]))
}

/// `rbd.migration_set`: EEXIST if the image is being migrated.
pub(crate) fn migration_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let spec: MigrationSpec = arg(&input)?;
    if ctx.omap_get(b"migration")?.is_some() {
        return Err(Errno::EEXIST);
    }
    match read_key::<u64>(ctx, "features")? {
        None => {
            if old_format_migrates(ctx)? {
                return Err(Errno::EEXIST);
            }
            if spec.header_type != MigrationHeaderType::SRC {
                return Err(Errno::EINVAL);
            }
            write_old_format(ctx, MIGRATE_HEADER_TEXT)?;
        }
        Some(bits) if bits & features::MIGRATING != 0 => {
            // A destination is created with the feature.
            if spec.header_type != MigrationHeaderType::DST {
                return Err(Errno::EEXIST);
            }
        }
        Some(bits) => write_key(ctx, "features", &(bits | features::MIGRATING))?,
    }
    write_key(ctx, "migration", &spec)?;
    done()
}

fn read(ctx: &Ctx<'_>) -> Result<MigrationSpec> {
    let migrates = match read_key::<u64>(ctx, "features")? {
        None => old_format_migrates(ctx)?,
        Some(bits) => bits & features::MIGRATING != 0,
    };
    if !migrates {
        return Err(Errno::EINVAL);
    }
    need_key(ctx, "migration")
}

/// `rbd.migration_set_state`: state and its description.
pub(crate) fn migration_set_state(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (state, description) = args(&input, |r| Ok((MigrationState::decode(r)?, r.blob()?)))?;
    let mut spec = read(ctx)?;
    spec.state = state;
    spec.state_description = description;
    write_key(ctx, "migration", &spec)?;
    done()
}

/// `rbd.migration_get`: EINVAL if the image is not being migrated.
pub(crate) fn migration_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&read(ctx)?)
}

/// `rbd.migration_remove`.
pub(crate) fn migration_remove(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    rm_key_if_any(ctx, "migration")?;
    match read_key::<u64>(ctx, "features")? {
        None if old_format_migrates(ctx)? => write_old_format(ctx, HEADER_TEXT)?,
        None => return Err(Errno::EINVAL),
        Some(bits) if bits & features::MIGRATING != 0 => {
            write_key(ctx, "features", &(bits & !features::MIGRATING))?;
        }
        Some(_) => {}
    }
    done()
}
