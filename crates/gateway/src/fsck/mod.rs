//! `rbdgate fsck`: checks a data folder that no server has open, and repairs what can be.
//!
//! First the store's own files (`store::check`), with a backend where volumes lie (`places`), then all tables of the objects
//! (`tables`): that each row reads, and that what rows say of each other is so. After a repair everything is checked again, as one repair may uncover
//! something else.

mod blocks;
mod data;
mod objects;
mod places;
mod slots;
mod tables;
#[cfg(test)]
mod tests;

use std::{fmt::Write as _, process::ExitCode};

use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command};
use store::{Store, StoreError, Transaction, VolumeId};

use self::tables::Tables;
use crate::{
    backend::CurveDevices,
    cluster::{stored_deleted_pools, stored_pool_names},
    config::Settings,
    objects::Objects,
    open::{self, ServeError},
};

/// Problems that are printed; the rest is counted.
const SHOWN: usize = 1000;
/// Repairs that are made in one transaction.
const BATCH: usize = 500;
/// Repairs may uncover what was hidden, but not for ever.
const ROUNDS: usize = 4;

const HELP: &str = "\
fsck looks at everything that rbdgate keeps in its data folder and tells, a line each, what does not fit together:
  the metadata file, with all its checksums, and the journal, also whether anything is missing in its midst;
  that every volume has its rows, and no file is left over; with images on CurveBS (say where with --config), that the
  volumes which hold data are in the cluster;
  objects, attributes, omap, clones, snapshots, blocks and slots, and that each refers to what is there;
  what images hold in files, with its checksums: all of it is read, which takes as long as the disk takes (--skip-data does not).

It refuses while a server runs on the folder. As a start of the server does, it takes up the journal.
Data that is not what was written is told, and cannot be read until it is written anew or, with --accept-data, is taken as it
is. Repairing never touches data that an object refers to. It removes what nothing refers to, adds what can be told from
the rest, and gives back what is taken and not used. While something cannot be read, nothing is removed: it might
belong to that. What is damaged and cannot be told is left for you: restore a backup of the metadata (rbdgate meta
restore), or remove the object.

Exit status:
  0  nothing is wrong
  1  something was wrong, and all of it is repaired
  4  something is wrong, and not repaired
  8  the check itself failed, or a server runs

Examples:
  rbdgate fsck --data /var/lib/rbdgate
  rbdgate fsck --data /var/lib/rbdgate --repair";

const REPAIRED: u8 = 1;
const WRONG: u8 = 4;
const FAILED: u8 = 8;

/// A change that mends something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fix {
    Delete(Bytes),
    Put(Bytes, Bytes),
    /// Key, offset, bytes.
    Patch(Bytes, u64, Bytes),
    Discard(VolumeId, u64, u64),
}

impl Fix {
    /// Whether something is gone afterwards.
    fn removes(&self) -> bool {
        match self {
            Self::Delete(_) | Self::Discard(..) => true,
            Self::Put(..) => false,
            Self::Patch(_, _, data) => data.iter().all(|byte| *byte == 0),
        }
    }
}

/// Something that is wrong, in words, and what mends it, if anything does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    fixes: Vec<Fix>,
}

impl Problem {
    /// Whether it can be repaired.
    #[must_use]
    pub fn mends(&self) -> bool {
        !self.fixes.is_empty()
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Objects, images' data objects included.
    pub objects: u64,
    /// Clones of objects.
    pub clones: u64,
    /// Volumes of images.
    pub volumes: u64,
    /// Slots in use.
    pub slots: u64,
    /// Rows of all tables.
    pub rows: u64,
}

/// Checks all tables of the objects.
///
/// # Errors
/// If the store cannot be read.
pub fn check_objects(store: &Store) -> Result<(Vec<Problem>, Looked), StoreError> {
    Tables::read(store)?.check()
}

/// Makes the repairs of `problems`.
///
/// # Errors
/// If the store refuses them.
pub fn repair(store: &Store, problems: &[Problem]) -> Result<(), StoreError> {
    let fixes: Vec<&Fix> = problems.iter().flat_map(|problem| &problem.fixes).collect();
    for some in fixes.chunks(BATCH) {
        let mut tx = Transaction::new();
        for fix in some {
            match fix {
                Fix::Delete(key) => tx.delete(key.clone()),
                Fix::Put(key, value) => tx.put(key.clone(), value.clone()),
                Fix::Patch(key, at, data) => tx.patch(key, *at, data),
                Fix::Discard(volume, at, len) => tx.discard(*volume, *at, *len),
            };
        }
        store.commit(tx)?;
    }
    Ok(())
}

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    let repair = Arg::new("repair")
        .long("repair")
        .action(ArgAction::SetTrue)
        .help("Repair what can be repaired");
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let skip = flag("skip-data", "Do not read what images hold");
    let accept = flag(
        "accept-data",
        "Take data that is not what was written as it is: reads give what the disk has",
    );
    Command::new("fsck")
        .about("Check a data folder that no server has open, and repair it")
        .after_help(HELP)
        .args([repair, skip, accept.conflicts_with("skip-data")])
}

/// Runs the subcommand. What it finds goes to standard output.
#[must_use]
pub fn run(args: &ArgMatches, settings: &Settings) -> ExitCode {
    let fsck = Fsck {
        settings,
        repair: args.get_flag("repair"),
        skip_data: args.get_flag("skip-data"),
        accept_data: args.get_flag("accept-data"),
        wrong: 0,
        left: 0,
    };
    match fsck.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rbdgate: fsck: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// One run.
struct Fsck<'a> {
    settings: &'a Settings,
    repair: bool,
    skip_data: bool,
    accept_data: bool,
    wrong: usize,
    left: usize,
}

impl Fsck<'_> {
    /// Prints a problem, and counts it. `mended`: it can be repaired.
    fn tell(&mut self, what: &str, mended: bool) {
        self.wrong += 1;
        self.left += usize::from(!(mended && self.repair));
        let fate = match (mended, self.repair) {
            (true, true) => " (repaired)",
            (true, false) => " (can be repaired)",
            (false, _) => "",
        };
        if self.wrong <= SHOWN {
            println!("wrong  {what}{fate}");
        } else if self.wrong == SHOWN + 1 {
            println!("wrong  and more, which is not shown");
        }
    }

    fn run(mut self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        let mut options = open::store_options(&self.settings.data, self.settings)?;
        let report = match store::check(&options) {
            Err(StoreError::InUse { .. }) => {
                return Err(Box::new(ServeError::InUse(self.settings.data.clone())));
            }
            report => report?,
        };
        for note in &report.notes {
            println!("note   {note}");
        }
        for damage in &report.damage {
            self.tell(&damage.what, damage.mends);
        }
        let opens = report.readable && report.damage.iter().all(|damage| damage.mends && self.repair);
        if !opens {
            println!("note   objects were not looked at");
            return Ok(self.end(None));
        }
        options.accept_damage = self.repair;
        let devices = open::connect_backend(self.settings)?;
        let store = open::open_with(options, &self.settings.data, self.settings, devices.as_ref())?;
        let looked = self.opened(&store, devices.as_ref());
        let read = match self.skip_data {
            true => Ok(0),
            false => self.data(&store),
        };
        let closed = store.close();
        let (looked, read) = (looked?, read?);
        closed?;
        if read > 0 {
            println!("note   {} MiB of data were read", read >> 20);
        }
        Ok(self.end(Some(looked)))
    }

    fn opened(&mut self, store: &Store, devices: Option<&CurveDevices>) -> Result<Looked, StoreError> {
        if let Some(devices) = devices {
            for what in places::check(store, |place| devices.length(place))? {
                self.tell(&what, false);
            }
        }
        self.objects(store)
    }

    fn objects(&mut self, store: &Store) -> Result<Looked, StoreError> {
        let mut looked = Looked::default();
        for round in 0..ROUNDS {
            let (problems, now) = check_objects(store)?;
            looked = now;
            // What was left the last time is not told again.
            let news = problems.iter().filter(|problem| round == 0 || problem.mends());
            let news: Vec<_> = news.collect();
            for problem in &news {
                self.tell(&problem.what, problem.mends());
            }
            if !self.repair || !problems.iter().any(Problem::mends) {
                break;
            }
            repair(store, &problems)?;
        }
        self.pools(store)?;
        Ok(looked)
    }

    /// Objects of pools that are neither there nor about to be deleted by the next start of the server.
    fn pools(&mut self, store: &Store) -> Result<(), StoreError> {
        let read = stored_pool_names(store).and_then(|pools| Ok((pools, stored_deleted_pools(store)?)));
        let (pools, deleted) = match read {
            Ok(read) => read,
            Err(error) => {
                self.tell(&format!("the cluster's maps cannot be read: {error}"), false);
                return Ok(());
            }
        };
        let (deleting, gone): (Vec<i64>, Vec<i64>) = tables::pools_with_rows(store)?
            .into_iter()
            .filter(|pool| !pools.contains_key(pool))
            .partition(|pool| deleted.contains(pool));
        for pool in deleting {
            println!("note   pool {pool} was deleted: the server's next start deletes what is left of it");
        }
        for pool in &gone {
            self.tell(
                &format!("pool {pool} was deleted, and objects of it are left"),
                self.left == 0,
            );
        }
        if self.repair && self.left == 0 && !gone.is_empty() {
            let objects = Objects::open(store.clone())?;
            for pool in gone {
                objects.delete_pool(pool)?;
            }
            store.wait(store.progress().submitted)?;
        }
        Ok(())
    }

    fn end(&self, looked: Option<Looked>) -> ExitCode {
        let mut text = String::new();
        if let Some(looked) = looked {
            let Looked {
                objects,
                clones,
                volumes,
                slots,
                rows,
            } = looked;
            let _ = write!(
                text,
                "{objects} objects, {clones} clones, {volumes} image volumes, {slots} slots, {rows} rows: "
            );
        }
        match (self.wrong, self.left) {
            (0, _) => println!("{text}nothing is wrong"),
            (wrong, 0) => println!("{text}{wrong} problems, all repaired"),
            (wrong, left) if self.repair => println!("{text}{wrong} problems, {left} not repaired"),
            (wrong, _) => println!("{text}{wrong} problems; --repair repairs what can be"),
        }
        ExitCode::from(match (self.wrong, self.left) {
            (0, _) => 0,
            (_, 0) => REPAIRED,
            _ => WRONG,
        })
    }
}
