//! Devices in memory, as awkward as a store must expect them: small segments, blocks of 512 bytes or 4096, writes that
//! take their time and overtake each other, and failures on demand.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use rbdgate_store::{Device, DeviceSpace, Devices, ReadDone, WriteDone};

/// Bytes of a segment.
pub(crate) const SEGMENT: u64 = 8 << 20;

/// A device's content.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// Ranges that are being written.
    busy: Vec<(u64, u64)>,
    pub(crate) given_back: u64,
}

/// A cluster of devices. What it holds outlives the stores on it.
pub(crate) struct Memory {
    pub(crate) block: u64,
    /// Writes take up to so many microseconds.
    pub(crate) delay: u64,
    pub(crate) contents: Mutex<HashMap<String, Arc<Mutex<Content>>>>,
    pub(crate) writes_fail: AtomicBool,
    pub(crate) reserve_fails: AtomicBool,
    pub(crate) delete_fails: AtomicBool,
    pub(crate) reads: AtomicU64,
    /// Reads and writes of the slots wait while this is set.
    pub(crate) held: AtomicBool,
    pub(crate) written: AtomicU64,
    pub(crate) identity: Mutex<Option<String>>,
    random: AtomicU64,
}

impl Memory {
    pub(crate) fn new(block: u64, delay: u64) -> Arc<Self> {
        Arc::new(Self {
            block,
            delay,
            contents: Mutex::default(),
            writes_fail: AtomicBool::new(false),
            reserve_fails: AtomicBool::new(false),
            delete_fails: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            held: AtomicBool::new(false),
            written: AtomicU64::new(0),
            identity: Mutex::default(),
            random: AtomicU64::new(1),
        })
    }

    pub(crate) fn content(&self, place: &str) -> Option<Arc<Mutex<Content>>> {
        self.contents.lock().unwrap().get(place).cloned()
    }

    /// The devices of this memory, for a store.
    pub(crate) fn devices(self: &Arc<Self>) -> Arc<dyn Devices> {
        Arc::new(Handle(Arc::clone(self)))
    }
}

struct Handle(Arc<Memory>);

impl Devices for Handle {
    fn identity(&self) -> Option<String> {
        self.0.identity.lock().unwrap().clone()
    }

    fn place(&self, name: &str, _: Option<&str>) -> io::Result<String> {
        // Names are used again; places are not.
        let n = self.0.random.fetch_add(1, SeqCst);
        Ok(format!("/{name}/{n}"))
    }

    fn open(&self, place: &str) -> Arc<dyn Device> {
        Arc::new(InMemory {
            memory: Arc::clone(&self.0),
            place: place.to_owned(),
        })
    }

    fn space(&self) -> DeviceSpace {
        DeviceSpace {
            total: 1000,
            available: 900,
            used: 100,
        }
    }
}

struct InMemory {
    memory: Arc<Memory>,
    place: String,
}

impl InMemory {
    fn content(&self) -> io::Result<Arc<Mutex<Content>>> {
        self.memory
            .content(&self.place)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn wait_while_held(&self) {
        while self.place.starts_with("/slots") && self.memory.held.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn another(&self) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            place: self.place.clone(),
        }
    }

    fn check(&self, offset: u64, len: u64) {
        let block = self.memory.block;
        assert!(offset.is_multiple_of(block) && len.is_multiple_of(block));
    }
}

impl Device for InMemory {
    fn block(&self) -> u64 {
        self.memory.block
    }

    fn reserve(&self, end: u64) -> io::Result<()> {
        if self.memory.reserve_fails.load(SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut contents = self.memory.contents.lock().unwrap();
        let content = contents.entry(self.place.clone()).or_default();
        let mut content = content.lock().unwrap();
        let len = (end.next_multiple_of(SEGMENT) as usize).max(content.bytes.len());
        // A device that was never written is not the store's business, so it may hold anything.
        content.bytes.resize(len, 0xee);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.check(offset, len as u64);
        self.memory.reads.fetch_add(1, SeqCst);
        self.wait_while_held();
        let content = self.content()?;
        let content = content.lock().unwrap();
        Ok(Bytes::copy_from_slice(
            &content.bytes[offset as usize..offset as usize + len],
        ))
    }

    fn write_at(&self, offset: u64, pieces: Vec<Bytes>) -> io::Result<()> {
        let data = pieces.concat();
        let end = offset + data.len() as u64;
        self.check(offset, data.len() as u64);
        self.wait_while_held();
        let content = self.content()?;
        {
            let mut content = content.lock().unwrap();
            // An error, since nobody waits for the thread that this is: the store fails, and the test with it.
            if content.busy.iter().any(|(s, e)| offset < *e && *s < end) {
                return Err(io::Error::other("two writes of one range at a time"));
            }
            content.busy.push((offset, end));
        }
        if self.memory.delay > 0 {
            let n = self.memory.random.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
            thread::sleep(Duration::from_micros((n >> 33) % self.memory.delay));
        }
        let mut content = content.lock().unwrap();
        content.busy.retain(|range| *range != (offset, end));
        if self.memory.writes_fail.load(SeqCst) {
            return Err(io::Error::other("fenced"));
        }
        content.bytes[offset as usize..end as usize].copy_from_slice(&data);
        self.memory.written.fetch_add(1, SeqCst);
        Ok(())
    }

    fn start_read(&self, offset: u64, len: usize, done: ReadDone) {
        let this = self.another();
        thread::spawn(move || done(this.read_at(offset, len)));
    }

    fn start_write(&self, offset: u64, pieces: Vec<Bytes>, done: WriteDone) {
        let this = self.another();
        thread::spawn(move || done(this.write_at(offset, pieces)));
    }

    fn segment(&self) -> u64 {
        SEGMENT
    }

    fn give_back(&self, offset: u64) -> io::Result<()> {
        let content = self.content()?;
        let mut content = content.lock().unwrap();
        content.bytes[offset as usize..(offset + SEGMENT) as usize].fill(0xdd);
        content.given_back += 1;
        Ok(())
    }

    fn delete(&self) -> io::Result<()> {
        if self.memory.delete_fails.load(SeqCst) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.memory.contents.lock().unwrap().remove(&self.place);
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self
            .content()
            .map_or(0, |content| content.lock().unwrap().bytes.len() as u64))
    }
}
