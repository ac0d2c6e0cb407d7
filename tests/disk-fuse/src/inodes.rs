//! Numbers of inodes, which FUSE speaks of, and the paths that [`disk_sim::SimDisk`] knows.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use store::DiskFile;

/// What an inode is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Dir,
    File(Arc<dyn DiskFile>),
    /// A socket's name, which lives as long as the mount.
    Socket,
}

/// An inode.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    /// `None` once its name is gone.
    pub(crate) path: Option<PathBuf>,
}

/// All inodes that the kernel was told of. None is forgotten: a test's program has few files.
#[derive(Debug)]
pub(crate) struct Inodes {
    all: HashMap<u64, Inode>,
    by_path: HashMap<PathBuf, u64>,
    last: u64,
}

impl Inodes {
    /// With the root alone.
    pub(crate) fn new(root: u64) -> Self {
        let mut this = Self {
            all: HashMap::new(),
            by_path: HashMap::new(),
            last: root - 1,
        };
        this.add(PathBuf::from("/"), Kind::Dir, 0o755);
        this
    }

    pub(crate) fn add(&mut self, path: PathBuf, kind: Kind, mode: u16) -> u64 {
        self.last += 1;
        self.by_path.insert(path.clone(), self.last);
        let path = Some(path);
        self.all.insert(self.last, Inode { kind, mode, path });
        self.last
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Inode> {
        self.all.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Inode> {
        self.all.get_mut(&number)
    }

    pub(crate) fn find(&self, path: &Path) -> Option<u64> {
        self.by_path.get(path).copied()
    }

    /// The names of sockets in a folder.
    pub(crate) fn sockets(&self, dir: &Path) -> impl Iterator<Item = &Path> {
        let all = self.all.values();
        let sockets = all.filter(|inode| matches!(inode.kind, Kind::Socket));
        let paths = sockets.filter_map(|inode| inode.path.as_deref());
        paths.filter(move |path| path.parent() == Some(dir))
    }

    /// Takes a name away; who has the inode open goes on using it.
    pub(crate) fn remove(&mut self, path: &Path) {
        if let Some(number) = self.by_path.remove(path)
            && let Some(inode) = self.all.get_mut(&number)
        {
            inode.path = None;
        }
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        self.remove(to);
        if let Some(number) = self.by_path.remove(from) {
            self.by_path.insert(to.to_owned(), number);
            if let Some(inode) = self.all.get_mut(&number) {
                inode.path = Some(to.to_owned());
            }
        }
    }
}
