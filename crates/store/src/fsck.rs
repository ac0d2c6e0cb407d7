//! Checks of a store that nobody has open: its metadata file, its journal, and the rows and files that are its own.

use std::{collections::BTreeSet, path::Path};

use crate::{
    error::{Context, Result, StoreError},
    journal::Replay,
    kv::{Kv, Superblock},
    map,
    options::Options,
    recovery, regions, scrub,
    transaction::VolumeId,
    volumes::parse_id,
};

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What, in words.
    pub what: String,
    /// Opening the store with [`Options::accept_damage`] mends it.
    pub mends: bool,
}

/// What a check of a store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// What is wrong.
    pub damage: Vec<Damage>,
    /// What is worth knowing, and right.
    pub notes: Vec<String>,
    /// The metadata can be read.
    pub readable: bool,
}

impl StoreReport {
    fn wrong(&mut self, what: impl Into<String>, mends: bool) {
        let what = what.into();
        self.damage.push(Damage { what, mends });
    }
}

/// Checks the store in `options.dir`. Changes nothing of what it holds.
///
/// # Errors
/// [`StoreError::InUse`] if it is open; or if it cannot be looked at. What is damaged stands in the report.
pub fn check(options: &Options) -> Result<StoreReport> {
    let (disk, dir) = (&*options.disk, &options.dir);
    let path = dir.join("meta.redb");
    disk.stat(&path)
        .context(|| format!("no store in {}", dir.display()))?;
    let _lock = recovery::lock(disk, dir)?;
    let mut report = StoreReport::default();
    let opened = Kv::open(disk, &path, options.meta_cache_bytes);
    let mut kv = match opened {
        Ok(kv) => kv,
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(error) => {
            report.wrong(
                format!("{} cannot be read ({error}): restore a backup", path.display()),
                false,
            );
            return Ok(report);
        }
    };
    match kv.check() {
        Ok(true) => {}
        Ok(false) => report
            .notes
            .push("meta.redb: what is free in it was counted anew".into()),
        Err(error) => {
            report.wrong(
                format!("{} is damaged ({error}): restore a backup", path.display()),
                false,
            );
            return Ok(report);
        }
    }
    match kv.superblock() {
        Ok(Some(superblock)) => {
            report.readable = true;
            check_journal(options, &superblock, &mut report)?;
            check_rows(&kv, &mut report)?;
            check_files(options, &kv, &superblock, &mut report)?;
        }
        Ok(None) => report.notes.push("the store is empty".into()),
        Err(error) => report.wrong(format!("superblock: {error}"), false),
    }
    Ok(report)
}

fn check_journal(options: &Options, superblock: &Superblock, report: &mut StoreReport) -> Result<()> {
    let path = options.dir.join("journal");
    let len = options.disk.stat(&path).map_or(0, |stat| stat.len);
    if len == 0 || len != superblock.journal_bytes {
        // It is made when the store is opened; the superblock says so before.
        if superblock.journal_bytes != 0 && len != 0 {
            report
                .notes
                .push(format!("the journal has {len} bytes: it is made anew"));
        } else if superblock.journal_bytes != 0 {
            report.notes.push("there is no journal: it is made anew".into());
        }
        return Ok(());
    }
    let mut replay = Replay::new(
        &*options.disk,
        &path,
        superblock.journal_bytes,
        superblock.epoch,
        superblock.journal_pos,
        superblock.checkpoint + 1,
    )?;
    let mut last = superblock.checkpoint;
    loop {
        match replay.next() {
            Ok(Some(batch)) => {
                let end = batch.first + batch.transactions.len() as u64;
                last = last.max(end.saturating_sub(1));
            }
            Ok(None) => break,
            Err(error) => {
                report.wrong(format!("journal: {error}"), false);
                return Ok(());
            }
        }
    }
    let count = last - superblock.checkpoint;
    if count > 0 {
        report.notes.push(format!(
            "the journal has {count} transactions that the next start takes up"
        ));
    }
    if let Some(lost) = replay.lost(last, 2 * options.max_transaction())? {
        report.wrong(lost.text(), true);
    }
    Ok(())
}

/// Checks the rows that are the store's own.
fn check_rows(kv: &Kv, report: &mut StoreReport) -> Result<()> {
    let volumes: BTreeSet<VolumeId> = kv.volumes()?.into_iter().map(|(id, _)| id).collect();
    let mut placed = BTreeSet::new();
    let snapshot = kv.snapshot()?;
    for row in snapshot.range(&[map::RESERVED], None)? {
        let (key, value) = row?;
        let id = key
            .get(2..10)
            .and_then(|id| id.try_into().ok())
            .map(|id| VolumeId(u64::from_be_bytes(id)));
        let known = id.is_some_and(|id| volumes.contains(&id));
        let text = key.escape_ascii();
        match key.get(1) {
            Some(b'D') if known && map::is_row(&key, &value) => {}
            Some(b'D') if known => report.wrong(format!("row {text} of a volume's map is damaged"), false),
            Some(b'D') => report.wrong(format!("row {text} is of a volume that does not exist"), false),
            Some(b'V') if known && value.len() > 1 => placed.extend(id),
            Some(b'V') => report.wrong(format!("row {text} says where no volume is"), false),
            Some(b'T') if id.is_some() => {}
            Some(table @ (b'S' | b'L')) if known && scrub::is_row(*table, &value) => {}
            Some(b'S' | b'L') => {
                report.wrong(format!("row {text} of a volume's checksums is damaged"), false);
            }
            Some(b'U') if key.len() == 2 && regions::is_row(&value) => {}
            // The identity of the cluster of devices.
            Some(b'C') if key.len() == 2 => {}
            _ => report.wrong(format!("row {text} is of no known kind"), false),
        }
    }
    if !placed.is_empty() {
        for id in volumes.difference(&placed) {
            report.wrong(format!("nothing says on which device {id} lies"), false);
        }
    }
    Ok(())
}

fn check_files(options: &Options, kv: &Kv, superblock: &Superblock, report: &mut StoreReport) -> Result<()> {
    let dir = options.dir.join("volumes");
    let mut volumes = BTreeSet::new();
    for (id, name) in kv.volumes()? {
        volumes.insert(id);
        if std::str::from_utf8(&name).is_err() {
            report.wrong(format!("the name of {id} is not UTF-8"), false);
        }
        if id.0 >= superblock.next_volume {
            report.wrong(format!("{id} has a number that was never given"), false);
        }
    }
    let files = match options.disk.list(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        files => files.context(|| format!("list {}", dir.display()))?,
    };
    for file in files {
        let path = Path::new("volumes").join(&file);
        match file.to_str().and_then(parse_id) {
            Some(id) if volumes.contains(&id) => {}
            // The journal may still make it one.
            Some(id) if id.0 >= superblock.next_volume => {}
            Some(_) => report.notes.push(format!(
                "{} is of a volume that does not exist: the next start removes it",
                path.display()
            )),
            None => report
                .notes
                .push(format!("{} is no file of rbdgate", path.display())),
        }
    }
    Ok(())
}
