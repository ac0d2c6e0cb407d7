//! Ceph's object classes: methods that clients call on an object and that run where the object is.
//!
//! A method is a plain function on an [`ObjectContext`]. [`table()`] lists them all; [`lookup`] finds one, and
//! [`call`] runs it as the OSD's `call` op does.

mod context;
mod hello;
mod journal;
mod lock;
mod numops;
mod rbd;
mod support;
mod table;
mod version;

use std::fmt;

use bytes::Bytes;
use encoding::Errno;

pub use context::{ObjectContext, OmapPage, Result};
pub use table::table;

/// What a method does with its object, as Ceph registers it (`CLS_METHOD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodFlags(u8);

impl MethodFlags {
    /// It reads: `CLS_METHOD_RD`.
    pub const RD: Self = Self(1);
    /// It writes: `CLS_METHOD_WR`. The op is a mutation, whatever the method does this time.
    pub const WR: Self = Self(2);
    /// With a cache tier, the object is promoted first: `CLS_METHOD_PROMOTE`.
    pub const PROMOTE: Self = Self(8);

    /// Whether it reads.
    #[must_use]
    pub const fn reads(self) -> bool {
        self.0 & Self::RD.0 != 0
    }

    /// Whether it may write.
    #[must_use]
    pub const fn writes(self) -> bool {
        self.0 & Self::WR.0 != 0
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for MethodFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::RD, "RD"), (Self::WR, "WR"), (Self::PROMOTE, "PROMOTE")];
        let mut first = true;
        for (flag, name) in names {
            if self.0 & flag.0 != 0 {
                f.write_str(if first { "" } else { "|" })?;
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

type Run = fn(&mut dyn ObjectContext, Bytes) -> Result<Bytes>;

/// A row of the table: a method of a class.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// The class.
    pub class: &'static str,
    /// The method.
    pub name: &'static str,
    /// What it does with its object.
    pub flags: MethodFlags,
    run: Run,
}

impl Method {
    /// Runs the method with its encoded arguments; returns its encoded result.
    ///
    /// # Errors
    /// The method's own. What it has staged by then must be dropped with the whole op vector.
    pub fn call(&self, ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
        (self.run)(ctx, input)
    }
}

/// The method of that class and name.
#[must_use]
pub fn lookup(class: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Option<&'static Method> {
    let (class, name) = (class.as_ref(), name.as_ref());
    table()
        .iter()
        .find(|m| m.name.as_bytes() == name && m.class.as_bytes() == class)
}

/// Whether there is a class of that name.
#[must_use]
pub fn has_class(class: impl AsRef<[u8]>) -> bool {
    table().iter().any(|m| m.class.as_bytes() == class.as_ref())
}

/// Finds and runs a method.
///
/// # Errors
/// EOPNOTSUPP if there is no such class or method, as Ceph's OSD answers both; else the method's own.
pub fn call(
    class: impl AsRef<[u8]>,
    name: impl AsRef<[u8]>,
    ctx: &mut dyn ObjectContext,
    input: Bytes,
) -> Result<Bytes> {
    lookup(class, name).ok_or(Errno::EOPNOTSUPP)?.call(ctx, input)
}
