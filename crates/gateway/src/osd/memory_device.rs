//! A device in memory, for tests of what is stored.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use bytes::Bytes;
use store::{DEVICE_UNIT, Device, DeviceSpace, Devices, ReadDone, WriteDone};

/// Every volume is one of its own, also if the name was used before.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Vec<Arc<Volume>>>);

#[derive(Debug, Default, Clone)]
struct Volume(Arc<Mutex<Vec<u8>>>);

impl Devices for Memory {
    fn place(&self, _: &str, _: Option<&str>) -> io::Result<String> {
        let mut volumes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        volumes.push(Arc::default());
        Ok((volumes.len() - 1).to_string())
    }

    fn open(&self, place: &str) -> Arc<dyn Device> {
        let volumes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&volumes[place.parse::<usize>().unwrap()]) as _
    }

    fn space(&self) -> DeviceSpace {
        DeviceSpace::default()
    }
}

impl Device for Volume {
    fn block(&self) -> u64 {
        DEVICE_UNIT
    }

    fn reserve(&self, end: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let len = bytes.len().max(end as usize);
        // What was never written may be anything.
        bytes.resize(len, 0xee);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let bytes = self.0.lock().unwrap();
        Ok(Bytes::copy_from_slice(
            &bytes[offset as usize..offset as usize + len],
        ))
    }

    fn write_at(&self, offset: u64, pieces: Vec<Bytes>) -> io::Result<()> {
        let data = pieces.concat();
        self.0.lock().unwrap()[offset as usize..offset as usize + data.len()].copy_from_slice(&data);
        Ok(())
    }

    fn start_read(&self, offset: u64, len: usize, done: ReadDone) {
        let this = self.clone();
        thread::spawn(move || done(this.read_at(offset, len)));
    }

    fn start_write(&self, offset: u64, pieces: Vec<Bytes>, done: WriteDone) {
        let this = self.clone();
        thread::spawn(move || done(this.write_at(offset, pieces)));
    }

    fn delete(&self) -> io::Result<()> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}
