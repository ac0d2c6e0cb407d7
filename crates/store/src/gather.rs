//! Transactions that come together go to the journal together: who submits many in a row has the journal's thread woken once
//! for all of them, so that it does not begin with the first alone and let the others wait for its write.

use std::cell::Cell;

use crate::{core::Core, store::Store};

thread_local! {
    /// Whose submissions this thread gathers, and whether there were any.
    static GATHERING: Cell<Option<(usize, bool)>> = const { Cell::new(None) };
}

/// What a core is known by in [`GATHERING`].
fn name_of(core: &Core) -> usize {
    std::ptr::from_ref(core) as usize
}

/// Ends the gathering however its scope is left.
struct Scope<'a> {
    core: &'a Core,
    before: Option<(usize, bool)>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if let Some((_, true)) = GATHERING.replace(self.before) {
            self.core.work.notify_one();
        }
    }
}

impl Store {
    /// Runs `work`. The journal's thread learns at its end, and at once if it is waited for, of what this thread submits meanwhile.
    pub fn gather<R>(&self, work: impl FnOnce() -> R) -> R {
        let core = &**self.core();
        let _scope = Scope {
            core,
            before: GATHERING.replace(Some((name_of(core), false))),
        };
        work()
    }
}

impl Core {
    /// A transaction waits for the journal.
    pub(crate) fn submitted(&self) {
        match GATHERING.get() {
            Some((core, _)) if core == name_of(self) => GATHERING.set(Some((core, true))),
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
