//! Why a command or a task failed, in the words of Ceph's module: those of the exceptions of python3-rbd and
//! python3-rados (`src/pybind/rbd/rbd.pyx`, `src/pybind/rados/rados.pyx`).

use encoding::Errno;

/// The error number and the text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error.
    pub errno: Errno,
    /// What is told to the user.
    pub text: String,
}

impl Failure {
    /// A plain text (`ValueError` and its like).
    pub fn new(errno: Errno, text: impl Into<String>) -> Self {
        Self {
            errno,
            text: text.into(),
        }
    }

    /// What python3-rbd raises. `doing`: what it was about.
    pub fn rbd(errno: Errno, doing: impl std::fmt::Display) -> Self {
        let kind = match errno {
            Errno::EPERM => "RBD permission error",
            Errno::ENOENT => "RBD image not found",
            Errno::EIO => "RBD I/O error",
            Errno::ENOSPC => "RBD insufficient space available",
            Errno::EEXIST => "RBD image already exists",
            Errno::EINVAL => "RBD invalid argument",
            Errno::EROFS => "RBD read-only image",
            Errno::EBUSY => "RBD image is busy",
            Errno::ENOTEMPTY => "RBD image has snapshots",
            Errno::ENOSYS => "RBD function not supported",
            Errno::EBLOCKLISTED => "RBD connection was shutdown",
            Errno::ETIMEDOUT => "RBD operation timeout",
            Errno::EDQUOT => "RBD disk quota exceeded",
            Errno::EOPNOTSUPP => "RBD operation not supported",
            Errno::ECANCELED => "RBD operation canceled",
            _ => return Self::new(errno, format!("[errno {}] {doing}", errno.0)),
        };
        Self::new(errno, format!("[errno {}] {kind} ({doing})", errno.0))
    }

    /// What python3-rados raises.
    pub fn rados(errno: Errno, doing: impl std::fmt::Display) -> Self {
        let kind = match errno {
            Errno::EPERM => "RADOS permission error",
            Errno::ENOENT => "RADOS object not found",
            Errno::EIO => "RADOS I/O error",
            Errno::ENOSPC => "RADOS no space",
            Errno::EEXIST => "RADOS object exists",
            Errno::EBUSY => "RADOS object busy",
            Errno::EINVAL => "RADOS invalid argument",
            Errno::ETIMEDOUT => "RADOS timed out",
            Errno::EBLOCKLISTED => "RADOS connection was shutdown",
            _ => return Self::new(errno, format!("[errno {}] {doing}", errno.0)),
        };
        Self::new(errno, format!("[errno {}] {kind} ({doing})", errno.0))
    }

    /// The pool is gone, or never was.
    pub fn no_pool(name: &str) -> Self {
        Self::rados(Errno::ENOENT, format!("error opening pool '{name}'"))
    }
}

/// An image's name as python3-rbd shows it.
pub fn bytes_literal(name: &str) -> String {
    format!("b'{name}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_those_of_the_python_bindings() {
        assert_eq!(
            Failure::rbd(Errno::EBUSY, "error removing image").text,
            "[errno 16] RBD image is busy (error removing image)"
        );
        assert_eq!(
            Failure::rbd(Errno::EMLINK, "error removing image").text,
            "[errno 31] error removing image"
        );
        assert_eq!(
            Failure::no_pool("none").text,
            "[errno 2] RADOS object not found (error opening pool 'none')"
        );
    }
}
