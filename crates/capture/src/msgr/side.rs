//! One direction of a connection: the bytes not yet decoded, and when each of them was captured.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::pcap::Timestamp;

/// Bytes of one direction, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Captured.
    pub captured: u64,
    /// Decoded: banners, frames and messages that were understood.
    pub decoded: u64,
    /// Captured, but passed over: damaged, not decryptable, or of another protocol.
    pub skipped: u64,
    /// Not in the file.
    pub missing: u64,
}

/// A direction's buffer.
#[derive(Default)]
pub(super) struct Side {
    /// What is to be decoded.
    pub(super) rx: BytesMut,
    /// Up to which position bytes came with which packet.
    marks: VecDeque<(u64, Timestamp)>,
    /// Where `rx` ends, in bytes since the beginning.
    end: u64,
    /// Where what is being decoded begins.
    pub(super) item_start: u64,
    /// Nothing more can be decoded.
    pub(super) dead: bool,
    pub(super) traffic: Traffic,
}

impl Side {
    pub(super) fn push(&mut self, time: Timestamp, data: &Bytes) {
        self.traffic.captured += data.len() as u64;
        self.end += data.len() as u64;
        if self.dead {
            self.traffic.skipped += data.len() as u64;
            self.item_start = self.end;
            return;
        }
        self.forget_marks();
        self.rx.extend_from_slice(data);
        self.marks.push_back((self.end, time));
    }

    /// The position of the next byte.
    pub(super) fn pos(&self) -> u64 {
        self.end - self.rx.len() as u64
    }

    /// When the last byte before the next one was captured; marks before it are dropped.
    pub(super) fn time(&mut self) -> Timestamp {
        self.forget_marks();
        self.marks.front().map_or(Timestamp(0), |m| m.1)
    }

    fn forget_marks(&mut self) {
        let pos = self.pos();
        while self.marks.len() > 1 && self.marks.front().is_some_and(|m| m.0 < pos) {
            self.marks.pop_front();
        }
    }

    /// Takes `n` bytes, if they are there.
    pub(super) fn take(&mut self, n: usize) -> Option<Bytes> {
        (self.rx.len() >= n).then(|| self.rx.split_to(n).freeze())
    }

    /// What has been taken since the last item is decoded now. Returns its length.
    pub(super) fn decoded(&mut self) -> u64 {
        let len = self.pos() - self.item_start;
        self.item_start = self.pos();
        self.traffic.decoded += len;
        len
    }

    /// What has been taken since the last item, and `more` bytes, are passed over. Returns where and how many.
    pub(super) fn skip(&mut self, more: usize) -> (u64, u64) {
        self.rx.advance(more.min(self.rx.len()));
        let at = self.item_start;
        let len = self.pos() - at;
        self.item_start = self.pos();
        self.traffic.skipped += len;
        (at, len)
    }

    /// Bytes that did not come: positions go on behind them.
    pub(super) fn gap(&mut self, len: u64) {
        self.traffic.missing += len;
        self.end += len;
        self.item_start += len;
    }
}
