//! All that a capture file holds, in order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use crate::{
    keys::KeyBook,
    msgr::{ConnectionInfo, Conversation, Item, Said},
    packet::{NoSegment, segment},
    pcap::{Entry, FileError, PcapReader, Timestamp},
    tcp::{Assembler, ConnectionId, Direction, TcpEvent},
};

/// An item of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the last byte of it was captured.
    pub time: Timestamp,
    /// Its connection; see [`Transcript::connection`]. None for damage of the file itself.
    pub connection: Option<ConnectionId>,
    /// Which way it went. None for the connection's beginning and end.
    pub direction: Option<Direction>,
    /// Its length on the wire, in bytes.
    pub wire_len: u64,
    /// What it is.
    pub item: Item,
}

/// Reads a capture file: an iterator over what is in it, in the order in which it became known.
pub struct Transcript {
    file: Option<PcapReader>,
    link: u32,
    tcp: Assembler,
    keys: KeyBook,
    live: HashMap<ConnectionId, Conversation>,
    /// Of connections that are over.
    infos: BTreeMap<ConnectionId, ConnectionInfo>,
    unread: BTreeMap<NoSegment, u64>,
    time: Timestamp,
    said: VecDeque<Said>,
    out: VecDeque<Record>,
}

impl Transcript {
    /// Reads the head of `file`, an uncompressed pcap file. `keys` open what is encrypted.
    ///
    /// # Errors
    /// If it is no such file. What comes behind the head never is an error.
    pub fn new(file: Bytes, keys: KeyBook) -> Result<Self, FileError> {
        let file = PcapReader::new(file)?;
        Ok(Self {
            link: file.link(),
            file: Some(file),
            tcp: Assembler::default(),
            keys,
            live: HashMap::new(),
            infos: BTreeMap::new(),
            unread: BTreeMap::new(),
            time: Timestamp::default(),
            said: VecDeque::new(),
            out: VecDeque::new(),
        })
    }

    /// What is known so far of a connection.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<&ConnectionInfo> {
        let live = self.live.get(&id).map(|c| &c.info);
        live.or_else(|| self.infos.get(&id))
    }

    /// All connections that are over; behind the last item these are all there were.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &ConnectionInfo)> {
        self.infos.iter().map(|(id, info)| (*id, info))
    }

    fn entry(&mut self, entry: Entry) {
        match entry {
            Entry::Packet(packet) => {
                self.time = packet.time;
                let cut = (packet.original_len as usize).saturating_sub(packet.data.len());
                match segment(self.link, &packet.data, cut) {
                    Ok(segment) => self.tcp.push(packet.time, &segment),
                    Err(NoSegment::NotTcp) => {}
                    Err(why) => *self.unread.entry(why).or_default() += 1,
                }
            }
            Entry::Damage(damage) => self.of_file(Item::FileDamage(damage)),
        }
    }

    /// The file is over.
    fn finish(&mut self) {
        self.tcp.finish(self.time);
        self.follow();
        for (why, count) in std::mem::take(&mut self.unread) {
            self.of_file(Item::Packets(why, count));
        }
    }

    fn of_file(&mut self, item: Item) {
        self.out.push_back(Record {
            time: self.time,
            connection: None,
            direction: None,
            wire_len: 0,
            item,
        });
    }

    /// Hands what TCP gives to the conversations.
    fn follow(&mut self) {
        while let Some(record) = self.tcp.pop() {
            let id = record.connection;
            let (keys, said) = (&mut self.keys, &mut self.said);
            let plain = |item| Said {
                time: record.time,
                direction: None,
                len: 0,
                item,
            };
            match record.event {
                TcpEvent::Opened {
                    client,
                    server,
                    from_start,
                } => {
                    self.live
                        .insert(id, Conversation::new(client, server, from_start));
                    said.push_back(plain(Item::Opened));
                }
                TcpEvent::Data(d, data) => {
                    if let Some(c) = self.live.get_mut(&id) {
                        c.data(d, record.time, &data, keys, said);
                    }
                }
                TcpEvent::Gap(d, len) => {
                    if let Some(c) = self.live.get_mut(&id) {
                        c.gap(d, len, keys, said);
                    }
                }
                TcpEvent::Closed => {
                    if let Some(mut c) = self.live.remove(&id) {
                        c.end(keys, said);
                        self.infos.insert(id, c.info);
                    }
                    said.push_back(plain(Item::Closed));
                }
            }
            let records = self.said.drain(..).map(|s| Record {
                time: s.time,
                connection: Some(id),
                direction: s.direction,
                wire_len: s.len,
                item: s.item,
            });
            self.out.extend(records);
        }
    }
}

impl Iterator for Transcript {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.out.pop_front() {
                return Some(record);
            }
            let file = self.file.as_mut()?;
            match file.next() {
                Some(entry) => self.entry(entry),
                None => {
                    self.file = None;
                    self.finish();
                }
            }
            self.follow();
        }
    }
}
