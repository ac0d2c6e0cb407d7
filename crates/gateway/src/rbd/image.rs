//! An open image.

use bytes::Bytes;
use encoding::{Errno, cls::rbd::features, types::NOSNAP};

use super::{
    Header, RBD, directory,
    messages::{self, NOTIFY_TIMEOUT},
};
use crate::rados::{IoCtx, ops};

/// The header object of an image.
#[must_use]
pub fn header_oid(id: &[u8]) -> Vec<u8> {
    [b"rbd_header.", id].concat()
}

/// Whether the image of that id has a header.
///
/// # Errors
/// Of reading.
pub fn exists_header(ioctx: &IoCtx, id: &[u8]) -> Result<bool, Errno> {
    match ioctx.read(&header_oid(id), vec![ops::stat()]) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An image with what its header said when it was last looked at.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where its header is.
    pub ioctx: IoCtx,
    /// Where its data is: the same namespace, maybe another pool.
    pub data: IoCtx,
    /// Its id.
    pub id: Bytes,
    /// Its name; empty if it has none (in the trash).
    pub name: Bytes,
    /// What its header said.
    pub header: Header,
}

impl Image {
    /// Opens the image of that name.
    ///
    /// # Errors
    /// ENOENT if there is none; EOPNOTSUPP if it is of the old format.
    pub fn open(ioctx: &IoCtx, name: &[u8]) -> Result<Self, Errno> {
        let id = match directory::id_of(ioctx, name) {
            // Images of the old format have their header under their name.
            Err(Errno::ENOENT) => match ioctx.read(&[name, b".rbd"].concat(), vec![ops::stat()]) {
                Ok(_) => return Err(Errno::EOPNOTSUPP),
                Err(error) => return Err(error),
            },
            r => r?,
        };
        Self::open_as(ioctx, id, Bytes::copy_from_slice(name))
    }

    /// Opens the image of that id, be it in the trash.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn open_by_id(ioctx: &IoCtx, id: &[u8]) -> Result<Self, Errno> {
        let name = match directory::name_of(ioctx, id) {
            Err(Errno::ENOENT) => Bytes::new(),
            r => r?,
        };
        Self::open_as(ioctx, Bytes::copy_from_slice(id), name)
    }

    fn open_as(ioctx: &IoCtx, id: Bytes, name: Bytes) -> Result<Self, Errno> {
        let header = Header::read(ioctx, &header_oid(&id))?;
        let data = match header.data_pool {
            Some(pool) => ioctx
                .rados()
                .open_pool_id(pool)?
                .with_namespace(ioctx.nspace().clone()),
            None => ioctx.clone(),
        };
        Ok(Self {
            ioctx: ioctx.clone(),
            data,
            id,
            name,
            header,
        })
    }

    /// The header object.
    #[must_use]
    pub fn header_oid(&self) -> Vec<u8> {
        header_oid(&self.id)
    }

    /// Looks at the header again.
    ///
    /// # Errors
    /// ENOENT if it is gone.
    pub fn refresh(&mut self) -> Result<(), Errno> {
        self.header = Header::read(&self.ioctx, &self.header_oid())?;
        Ok(())
    }

    /// A data object.
    #[must_use]
    pub fn object(&self, number: u64) -> Vec<u8> {
        object_name(&self.header.prefix, number)
    }

    /// How many objects the image has at a snapshot, or at its head.
    #[must_use]
    pub fn objects_at(&self, snap: u64) -> u64 {
        let size = match snap {
            NOSNAP => self.header.size,
            id => self.header.snaps.get(&id).map_or(0, |s| s.size),
        };
        self.header.layout.objects(size)
    }

    /// Refuses what must not be done to an image that is used in ways not known here (`operations_disabled`).
    ///
    /// # Errors
    /// EROFS.
    pub const fn check_operable(&self) -> Result<(), Errno> {
        if self.header.op_features & !features::OP_ALL != 0 {
            return Err(Errno::EROFS);
        }
        Ok(())
    }

    /// Calls a method of class `rbd` on the header.
    ///
    /// # Errors
    /// The method's.
    pub fn exec(&self, method: &str, input: &[u8]) -> Result<(), Errno> {
        self.ioctx.exec(&self.header_oid(), RBD, method, input)
    }

    /// Tells all who have the image open that its header changed.
    ///
    /// # Errors
    /// ENOENT if the header is gone.
    pub fn notify_update(&self) -> Result<(), Errno> {
        let payload = messages::header_update();
        self.ioctx
            .notify(&self.header_oid(), &payload, NOTIFY_TIMEOUT)
            .map(drop)
    }
}

/// The name of a data object.
#[must_use]
pub(super) fn object_name(prefix: &[u8], number: u64) -> Vec<u8> {
    let mut name = prefix.to_vec();
    name.extend_from_slice(format!(".{number:016x}").as_bytes());
    name
}
