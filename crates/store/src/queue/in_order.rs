//! On files: transactions go to the journal in the order of their numbers.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{core::Queued, transaction::Seq};

/// Transactions in the order of their numbers. Marks of regions ([`crate::regions`]) go before those that wait for their direct writes, which in
/// turn wait for the marks.
#[derive(Default)]
pub(super) struct InOrder {
    waiting: VecDeque<Queued>,
}

impl InOrder {
    /// Those that wait.
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &Queued> {
        self.waiting.iter()
    }

    /// Adds the newest transaction.
    pub(super) fn push(&mut self, queued: Queued) {
        self.waiting.push_back(queued);
    }

    /// One whose direct writes are done.
    pub(super) fn written(&mut self, seq: Seq, sums: Vec<(usize, Bytes)>) {
        let found = self.waiting.binary_search_by_key(&seq, |queued| queued.seq);
        if let Some(queued) = found.ok().and_then(|at| self.waiting.get_mut(at)) {
            queued.written(sums);
        }
    }

    fn next_at(&self) -> Option<usize> {
        match self.waiting.front()?.direct_after {
            None => Some(0),
            Some(_) => self.waiting.iter().position(Queued::marks_only),
        }
    }

    /// What the journal may have next.
    pub(super) fn next(&self) -> Option<&Queued> {
        self.waiting.get(self.next_at()?)
    }

    /// Takes [`Self::next`].
    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.waiting.remove(self.next_at()?)
    }
}
