//! A small disk, to be filled by a test.

use std::path::PathBuf;
use std::process::Command;

/// A small ext4 file system in a file, mounted in a folder of its own.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes one of `mib` MiB; `None` where this process may not mount.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    pub fn new(mib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a file of the test's own");
        let image = folder.path().join("disk");
        std::fs::File::create(&image)
            .expect("a file of the test's own")
            .set_len(mib << 20)
            .expect("a file of the test's own");
        std::fs::create_dir(folder.path().join("mnt")).expect("a file of the test's own");
        let disk = Self { folder };
        let made = run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]);
        let mounted = made
            && run(
                "mount",
                &["-o", "loop", &image.display().to_string(), &disk.mount_text()],
            );
        if !mounted {
            eprintln!("not tested: this process may not mount a file system");
        }
        mounted.then_some(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    /// Fills it with a file, but for so many bytes. It is free again when the file is removed.
    ///
    /// # Panics
    /// If it cannot be filled.
    #[must_use]
    pub fn fill(&self, leave: u64) -> PathBuf {
        let filler = self.mount().join("filler");
        let free = rustix::fs::statvfs(self.mount()).expect("it is mounted");
        let free = free.f_bavail * free.f_frsize;
        let file = std::fs::File::create(&filler).expect("it can be written");
        let taken = free.saturating_sub(leave).max(1);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, taken).expect("there is room");
        filler
    }

    fn mount_text(&self) -> String {
        self.mount().display().to_string()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", &self.mount_text()]);
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .status()
        .is_ok_and(|s| s.success())
}
