//! Transactions that come together go to the journal together: who submits many in a row has the journal's thread woken once
//! for all of them, so that it does not begin with the first alone and let the others wait for its write. Who submits one alone writes the
//! journal itself, if that has nothing to do and the disk is quick.

use std::{cell::Cell, sync::Arc};

use crate::{core::Core, stages, store::Store};

thread_local! {
    /// Whose submissions this thread gathers, and how many there were.
    static GATHERING: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// What a core is known by in [`GATHERING`].
fn name_of(core: &Core) -> usize {
    std::ptr::from_ref(core) as usize
}

/// Ends the gathering however its scope is left.
struct Scope<'a> {
    core: &'a Arc<Core>,
    before: Option<(usize, usize)>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        match GATHERING.replace(self.before) {
            None | Some((_, 0)) => {}
            Some((_, 1)) if !std::thread::panicking() && stages::journal_alone(self.core) => {}
            Some(_) => self.core.hurry(),
        }
    }
}

impl Store {
    /// Runs `work`. The journal's thread learns at its end, and at once if it is waited for, of what this thread submits meanwhile.
    /// A transaction alone may be made durable before this returns, and its callbacks run: the caller holds no lock that they take.
    pub fn gather<R>(&self, work: impl FnOnce() -> R) -> R {
        let core = self.core();
        let _scope = Scope {
            core,
            before: GATHERING.replace(Some((name_of(core), 0))),
        };
        work()
    }
}

impl Core {
    /// A transaction waits for the journal.
    pub(crate) fn submitted(&self) {
        match GATHERING.get() {
            Some((core, count)) if core == name_of(self) => GATHERING.set(Some((core, count + 1))),
            _ => self.hurry(),
        }
    }

    /// Somebody is about to wait for what was submitted.
    pub(crate) fn hurry(&self) {
        self.work.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread::{self, ThreadId},
        time::Duration,
    };

    use crate::{Options, Store, Transaction};

    fn change(n: u8) -> Transaction {
        let mut tx = Transaction::new();
        tx.put(vec![n], vec![n]);
        tx
    }

    #[test]
    fn what_was_gathered_becomes_durable_after_the_scope() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path())).unwrap();
        let all: Vec<_> = store.gather(|| (0..9).map(|n| store.submit(change(n)).unwrap()).collect());
        let (tell, told) = std::sync::mpsc::channel();
        store.after(all[8], move |done| tell.send(done.is_ok()).unwrap());
        assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok(true));
    }

    #[test]
    fn waiting_within_the_scope_comes_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path())).unwrap();
        store.gather(|| {
            let seq = store.submit(change(1)).unwrap();
            store.wait(seq).unwrap();
            store.commit(change(2)).unwrap();
        });
    }

    /// Lets the journal look as if its last writes had been for one transaction each, and had taken so long.
    fn as_if(store: &Store, alone: u32, write_took: Duration) {
        let mut order = store.core().order.lock();
        (order.alone, order.write_took) = (alone, write_took);
    }

    /// Which thread calls back for transactions that were gathered.
    fn called_back_on(store: &Store, count: u8) -> ThreadId {
        let (tell, told) = std::sync::mpsc::channel();
        store.gather(|| {
            for n in 0..count {
                let (seq, tell) = (store.submit(change(n)).unwrap(), tell.clone());
                store.after(seq, move |done| {
                    tell.send(done.map(|()| thread::current().id())).unwrap();
                });
            }
        });
        let next = || told.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        let first = next();
        assert!((1..count).all(|_| next() == first));
        first
    }

    #[test]
    fn a_transaction_alone_is_journaled_by_who_submits_it_unless_the_disk_is_slow() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path())).unwrap();
        let here = thread::current().id();
        as_if(&store, 100, Duration::ZERO);
        assert_eq!(called_back_on(&store, 1), here);
        as_if(&store, 100, Duration::from_secs(1));
        assert_ne!(called_back_on(&store, 1), here);
        as_if(&store, 100, Duration::ZERO);
        assert_ne!(called_back_on(&store, 2), here);
        assert_ne!(called_back_on(&store, 1), here, "others were there just now");
        store.close().unwrap();
        drop(store);
        let store = Store::open(Options::new(dir.path())).unwrap();
        assert_eq!(store.get(&[1]).unwrap().as_deref(), Some(&[1][..]));
    }

    #[test]
    fn many_threads_that_submit_alone_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path())).unwrap();
        as_if(&store, 100, Duration::ZERO);
        thread::scope(|scope| {
            for worker in 0..6u8 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..40u8 {
                        let mut tx = Transaction::new();
                        tx.put(vec![worker, n], vec![n]);
                        let seq = store.gather(|| store.submit(tx).unwrap());
                        store.wait(seq).unwrap();
                    }
                });
            }
        });
        store.close().unwrap();
        drop(store);
        let store = Store::open(Options::new(dir.path())).unwrap();
        let rows = store.scan(&[][..]..&[255][..], 1000).unwrap();
        assert_eq!(rows.len(), 240);
    }

    #[test]
    fn another_store_is_not_held_up() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [one, other] = dirs
            .each_ref()
            .map(|dir| Store::open(Options::new(dir.path())).unwrap());
        one.gather(|| {
            let seq = other.submit(change(1)).unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            other.after(seq, move |done| tell.send(done.is_ok()).unwrap());
            assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok(true));
        });
    }
}
