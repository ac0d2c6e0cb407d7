//! Copies of the metadata: made while the store is open, put in place of what was lost.

use std::{fs::File, io, path::Path, time::Duration};

use crate::{
    disk::RealDisk,
    error::{Context, Result, StoreError},
    kv::Kv,
    stages,
    store::Store,
    transaction::Seq,
};

/// What the copy's library may cache, in bytes.
const CACHE: usize = 8 << 20;

impl Store {
    /// Copies the metadata, as of now or later, to a new file, without what waits for a device. Volumes' data is not in it. Returns a
    /// transaction up to which everything certainly is.
    ///
    /// Blocks. Transactions go on meanwhile.
    pub fn backup(&self, to: &Path) -> Result<Seq> {
        let core = self.core();
        let fail =
            |reason: io::Error| Err::<(), _>(reason).context(|| format!("back up to {}", to.display()));
        if to.exists() {
            fail(io::ErrorKind::AlreadyExists.into())?;
        }
        let seq = {
            let mut order = core.order.lock();
            let (all, durable, journaled) = (order.submitted, core.waiters.durable(), order.journaled);
            loop {
                core.check_failed()?;
                if order.closing {
                    return Err(StoreError::Closed);
                }
                if order.checkpointed >= all {
                    break all;
                }
                // What waits for a device may wait for long, and was told to nobody.
                if order.checkpointed >= journaled && stages::is_stuck(&order) {
                    break durable;
                }
                order.want_checkpoint(core);
                core.progress.wait_for(&mut order, Duration::from_millis(50));
            }
        };
        let partial = to.with_extension("partial");
        let copied = core.kv.copy_to(&partial);
        if let Err(error) = copied
            .and_then(|()| std::fs::rename(&partial, to).context(|| format!("rename {}", partial.display())))
        {
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
        sync_parent(to)?;
        Ok(seq)
    }
}

/// Makes a store in `dir` of a copy that [`Store::backup`] made. Refuses where there is one.
pub fn restore(from: &Path, dir: &Path) -> Result<Seq> {
    let target = dir.join("meta.redb");
    let what = || format!("restore {} to {}", from.display(), dir.display());
    let refused = |kind: io::ErrorKind| Err::<(), _>(io::Error::from(kind)).context(what);
    if !from.is_file() {
        refused(io::ErrorKind::NotFound)?;
    }
    std::fs::create_dir_all(dir).context(what)?;
    if target.exists() {
        refused(io::ErrorKind::AlreadyExists)?;
    }
    let partial = dir.join("meta.partial");
    std::fs::copy(from, &partial).context(what)?;
    let superblock = Kv::open(&RealDisk, &partial, CACHE)?.superblock()?;
    let Some(superblock) = superblock.filter(|found| found.journal_bytes == 0) else {
        let _ = std::fs::remove_file(&partial);
        return Err(StoreError::corrupt(format!(
            "{} is no backup of metadata",
            from.display()
        )));
    };
    // The journal of an earlier life would be taken for this one's.
    match std::fs::remove_file(dir.join("journal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context(what)?,
        _ => {}
    }
    File::open(&partial)
        .and_then(|file| file.sync_all())
        .context(what)?;
    std::fs::rename(&partial, &target).context(what)?;
    sync_parent(&target)?;
    Ok(superblock.checkpoint)
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .context(|| format!("fsync {}", dir.display()))
}
