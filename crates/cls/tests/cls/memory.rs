//! An object in memory, on which methods are called as in an op vector of one.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::{Bytes, BytesMut};
use cls::{ObjectContext, OmapPage, Result};
use encoding::{
    Decode, Encode, Errno, Features,
    types::{EntityAddr, EntityName, Utime},
};

/// Keys at a time, small so that tests see several pages.
const PAGE: usize = 3;

/// The object and what else a method sees.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) exists: bool,
    pub(crate) data: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Bytes, Bytes>,
    pub(crate) omap: BTreeMap<Bytes, Bytes>,
    pub(crate) header: Bytes,
    pub(crate) client: (EntityName, EntityAddr),
    pub(crate) features: Features,
    pub(crate) watchers: Vec<(EntityName, EntityAddr)>,
    pub(crate) now: Utime,
    pub(crate) snapset_seq: u64,
    pub(crate) release: u8,
    random: u8,
}

/// The address of a client.
pub(crate) fn addr(nonce: u32) -> EntityAddr {
    EntityAddr::v2(SocketAddr::from((Ipv4Addr::LOCALHOST, 1234)), nonce)
}

impl Object {
    /// An object that does not exist.
    pub(crate) fn absent() -> Self {
        Self {
            exists: false,
            data: Vec::new(),
            xattrs: BTreeMap::new(),
            omap: BTreeMap::new(),
            header: Bytes::new(),
            client: (EntityName::client(1), addr(1)),
            features: Features::ALL,
            watchers: Vec::new(),
            now: Utime { sec: 1000, nsec: 5 },
            snapset_seq: 0,
            release: 20,
            random: 0,
        }
    }

    /// An empty object.
    pub(crate) fn empty() -> Self {
        Self {
            exists: true,
            ..Self::absent()
        }
    }

    /// An object with content.
    pub(crate) fn with_data(data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            ..Self::empty()
        }
    }

    /// Makes another client the caller.
    pub(crate) fn as_client(&mut self, num: i64) -> &mut Self {
        self.client = (EntityName::client(num), addr(num as u32));
        self
    }

    /// Calls `class.method` with encoded arguments; what it staged counts only if it succeeds.
    pub(crate) fn call_raw(&mut self, method: &str, input: Bytes) -> Result<Bytes> {
        let (class, name) = method.split_once('.').unwrap();
        let mut staged = self.clone();
        let out = cls::call(class, name, &mut staged, input)?;
        if cls::lookup(class, name).unwrap().flags.writes() {
            *self = staged;
        }
        Ok(out)
    }

    /// As [`Self::call_raw`], encoding one value.
    pub(crate) fn call(&mut self, method: &str, args: impl Encode) -> Result<Bytes> {
        self.call_raw(method, args.to_bytes(Features::ALL))
    }

    /// As [`Self::call`], and decodes the reply.
    pub(crate) fn get<T: Decode>(&mut self, method: &str, args: impl Encode) -> Result<T> {
        Ok(T::from_bytes(&self.call(method, args)?).unwrap())
    }

    /// The stored value of an omap key.
    pub(crate) fn key(&self, key: &str) -> Option<&Bytes> {
        self.omap.get(key.as_bytes())
    }

    /// The stored value of an omap key, decoded.
    pub(crate) fn value<T: Decode>(&self, key: &str) -> T {
        T::from_bytes(self.key(key).unwrap()).unwrap()
    }

    fn touch(&mut self) {
        self.exists = true;
    }
}

/// No arguments.
pub(crate) struct Nothing;

impl Encode for Nothing {
    fn encode(&self, _: &mut BytesMut, _: Features) {}
}

/// A string argument.
pub(crate) fn s(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl ObjectContext for Object {
    fn exists(&self) -> bool {
        self.exists
    }

    fn size(&self) -> u64 {
        self.data.len() as u64
    }

    fn mtime(&self) -> Utime {
        self.now
    }

    fn read(&self, off: u64, len: u64) -> Result<Bytes> {
        let from = (off as usize).min(self.data.len());
        let to = from + (len as usize).min(self.data.len() - from);
        Ok(Bytes::copy_from_slice(&self.data[from..to]))
    }

    fn create(&mut self, exclusive: bool) -> Result<()> {
        if self.exists && exclusive {
            return Err(Errno::EEXIST);
        }
        self.touch();
        Ok(())
    }

    fn write(&mut self, off: u64, data: Bytes) -> Result<()> {
        let end = off.checked_add(data.len() as u64).ok_or(Errno::EFBIG)?;
        if end > 1 << 24 {
            return Err(Errno::EFBIG);
        }
        self.touch();
        let (from, end) = (off as usize, end as usize);
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[from..end].copy_from_slice(&data);
        Ok(())
    }

    fn write_full(&mut self, data: Bytes) -> Result<()> {
        self.touch();
        self.data = data.to_vec();
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        if self.exists {
            self.data.resize(len as usize, 0);
        }
        Ok(())
    }

    fn zero(&mut self, off: u64, len: u64) -> Result<()> {
        let size = self.data.len() as u64;
        let (from, to) = (off.min(size), off.saturating_add(len).min(size));
        self.data[from as usize..to as usize].fill(0);
        Ok(())
    }

    fn remove(&mut self) -> Result<()> {
        if !self.exists {
            return Err(Errno::ENOENT);
        }
        self.exists = false;
        self.data.clear();
        self.xattrs.clear();
        self.omap.clear();
        self.header.clear();
        Ok(())
    }

    fn getxattr(&self, name: &[u8]) -> Result<Bytes> {
        if !self.exists {
            return Err(Errno::ENOENT);
        }
        self.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    fn getxattrs(&self) -> Result<Vec<(Bytes, Bytes)>> {
        if !self.exists {
            return Err(Errno::ENOENT);
        }
        Ok(self.xattrs.clone().into_iter().collect())
    }

    fn setxattr(&mut self, name: &[u8], value: Bytes) -> Result<()> {
        self.touch();
        self.xattrs.insert(Bytes::copy_from_slice(name), value);
        Ok(())
    }

    fn rmxattr(&mut self, name: &[u8]) -> Result<()> {
        self.touch();
        self.xattrs.remove(name);
        Ok(())
    }

    fn omap_header(&self) -> Result<Bytes> {
        Ok(self.header.clone())
    }

    fn set_omap_header(&mut self, header: Bytes) -> Result<()> {
        self.touch();
        self.header = header;
        Ok(())
    }

    fn omap_get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.omap.get(key).cloned())
    }

    fn omap_vals(&self, start_after: &[u8], prefix: &[u8], max: usize) -> Result<OmapPage> {
        let mut found = self
            .omap
            .iter()
            .filter(|(k, _)| k[..] > *start_after && k.starts_with(prefix));
        let page = found
            .by_ref()
            .take(max.min(PAGE))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        Ok((page, found.next().is_some()))
    }

    fn omap_set(&mut self, values: Vec<(Bytes, Bytes)>) -> Result<()> {
        self.touch();
        self.omap.extend(values);
        Ok(())
    }

    fn omap_rm(&mut self, keys: &[Bytes]) -> Result<()> {
        if !self.exists {
            return Err(Errno::ENOENT);
        }
        for key in keys {
            self.omap.remove(key);
        }
        Ok(())
    }

    fn omap_clear(&mut self) -> Result<()> {
        self.omap.clear();
        self.header.clear();
        Ok(())
    }

    fn origin(&self) -> (EntityName, EntityAddr) {
        self.client
    }

    fn client_features(&self) -> Features {
        self.features
    }

    fn watchers(&self) -> Result<Vec<(EntityName, EntityAddr)>> {
        Ok(self.watchers.clone())
    }

    fn now(&self) -> Utime {
        self.now
    }

    fn random(&mut self) -> [u8; 16] {
        self.random = self.random.wrapping_add(1);
        [self.random; 16]
    }

    fn object_name(&self) -> &[u8] {
        b"object"
    }

    fn pool_id(&self) -> i64 {
        2
    }

    fn namespace(&self) -> &[u8] {
        b""
    }

    fn version(&self) -> u64 {
        1
    }

    fn snapset_seq(&self) -> Option<u64> {
        self.exists.then_some(self.snapset_seq)
    }

    fn clones(&self) -> Vec<u64> {
        Vec::new()
    }

    fn require_osd_release(&self) -> u8 {
        self.release
    }

    fn min_compat_client(&self) -> u8 {
        16
    }

    fn min_alloc_size(&self) -> u64 {
        16
    }

    fn log(&self, _: fmt::Arguments<'_>) {}
}
