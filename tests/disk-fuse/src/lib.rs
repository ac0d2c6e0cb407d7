//! A [`SimDisk`] mounted by FUSE, so that a program that knows nothing of it, the server as it is built, loses power: what it
//! has not synced is forgotten, reordered and torn in sectors of 512 bytes, and so are names whose folder it has not synced.
//!
//! Files are opened for direct I/O in the kernel's sense (`FOPEN_DIRECT_IO`): nothing of them stays in the page cache, which
//! would outlive the power, and each call arrives as the program made it. A write with `O_DSYNC` or `RWF_DSYNC` is durable on
//! its return, for its range alone.

mod filesystem;
mod inodes;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use disk_sim::{Image, SimDisk};
use fuser::{BackgroundSession, Config, MountOption};
use rustix::{
    io::Errno,
    mount::{UnmountFlags, unmount},
};

use filesystem::PowerFilesystem;

/// The disk, or what was left of it when its power went.
#[derive(Debug)]
enum State {
    On(SimDisk),
    Off(Image),
}

/// What the file system's threads and the test share. Calls hold the state for reading, so none is under way when the power goes.
#[derive(Debug)]
struct Power {
    state: RwLock<State>,
    /// Whether calls that come without power wait, instead of failing.
    held: Mutex<bool>,
    released: Condvar,
}

impl Power {
    fn on(disk: SimDisk) -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::new(State::On(disk)),
            held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, held: bool) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.released.notify_all();
    }

    /// Makes a call. Without power it fails with `EIO`, but not before the program that made it has been ended.
    fn call<T>(&self, call: impl FnOnce(&SimDisk) -> io::Result<T>) -> io::Result<T> {
        if let State::On(disk) = &*self.state() {
            return call(disk);
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let released = self.released.wait_while(held, |held| *held);
        drop(released.unwrap_or_else(PoisonError::into_inner));
        Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()))
    }
}

/// A disk that is mounted for as long as this lives.
#[derive(Debug)]
pub struct PowerDisk {
    at: PathBuf,
    power: Arc<Power>,
    session: Option<BackgroundSession>,
}

/// Whether this process may mount such a disk: there is a `/dev/fuse`, and it is root.
#[must_use]
pub fn is_supported() -> bool {
    let device = std::fs::File::options().read(true).write(true).open("/dev/fuse");
    device.is_ok() && rustix::process::geteuid().is_root()
}

impl PowerDisk {
    /// Mounts an empty disk on the folder `at`. All that a power loss chooses follows from `seed`.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mount(at: &Path, seed: u64) -> io::Result<Self> {
        let disk = SimDisk::new(seed);
        disk.make_dir(Path::new("/"));
        let mut this = Self {
            at: at.to_owned(),
            power: Power::on(disk.clone()),
            session: None,
        };
        this.start(disk)?;
        Ok(this)
    }

    fn start(&mut self, disk: SimDisk) -> io::Result<()> {
        self.power = Power::on(disk);
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("power-disk".to_owned()),
            MountOption::DefaultPermissions,
        ];
        config.n_threads = Some(4);
        let filesystem = PowerFilesystem::new(Arc::clone(&self.power));
        self.session = Some(fuser::spawn_mount(filesystem, &self.at, &config)?);
        Ok(())
    }

    /// Takes the power away, and runs `end`, which has to send the program its end (`SIGKILL`, without waiting for it):
    /// no call of it returns any more. What it has not acknowledged to anybody by now it never will.
    pub fn cut(&self, end: impl FnOnce()) {
        self.power.hold(true);
        {
            let mut state = self.power.state.write().unwrap_or_else(PoisonError::into_inner);
            if let State::On(disk) = &*state {
                let image = disk.image();
                *state = State::Off(image);
            }
        }
        end();
        self.power.hold(false);
    }

    /// Mounts what a loss of power left, on a disk of its own. The program that used it should be gone: its open files stay
    /// those of the old one.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn restore(&mut self, seed: u64) -> io::Result<()> {
        let disk = match &*self.power.state() {
            State::Off(image) => SimDisk::of(image, seed),
            State::On(_) => return Ok(()),
        };
        self.unmount()?;
        self.start(disk)
    }

    /// How many calls arrived since it was mounted or restored; none if the power is off.
    #[must_use]
    pub fn calls(&self) -> u64 {
        match &*self.power.state() {
            State::On(disk) => disk.calls(),
            State::Off(_) => 0,
        }
    }

    /// Unmounts now, whoever still uses it.
    fn unmount(&mut self) -> io::Result<()> {
        if let Some(session) = self.session.take() {
            unmount(&self.at, UnmountFlags::DETACH)?;
            // Its thread ends with the last open file.
            drop(session);
        }
        Ok(())
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("{} stays mounted: {error}", self.at.display());
        }
    }
}
