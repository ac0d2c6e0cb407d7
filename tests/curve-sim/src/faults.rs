//! What goes wrong on purpose.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::RngExt as _;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It waits before it is looked at.
    Delay(Duration),
    /// It is not run; the status is answered. OVERLOAD is 9.
    Status(i32),
    /// It is not run; the call fails with a code.
    RpcError(i32),
    /// It is run, and not answered.
    LoseReply,
    /// It is neither run nor answered.
    LoseRequest,
    /// The connection breaks before it is run.
    CloseBefore,
    /// The connection breaks after it was run.
    CloseAfter,
    /// It stays so long in its copyset's log before it is applied, and what comes behind it waits too. It is answered when
    /// nobody waits any more, unless the delay is short.
    LateApply(Duration),
}

/// A fault and when it strikes.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `Service/Method`, or part of it; empty is all.
    pub method: String,
    /// Of how many requests, 0 to 1.
    pub probability: f64,
    /// How often at most.
    pub times: Option<u32>,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// Strikes a part of all requests of a method.
    #[must_use]
    pub fn some(method: &str, probability: f64, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            probability,
            times: None,
            action,
        }
    }

    /// Strikes the next request of a method.
    #[must_use]
    pub fn next(method: &str, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            probability: 1.0,
            times: Some(1),
            action,
        }
    }
}

/// All faults that are set, and how often they struck.
#[derive(Debug, Default)]
pub struct Faults {
    set: Mutex<(Vec<Fault>, u64)>,
}

impl Faults {
    fn set(&self) -> MutexGuard<'_, (Vec<Fault>, u64)> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault. The first that strikes a request decides.
    pub fn add(&self, fault: Fault) {
        self.set().0.push(fault);
    }

    /// No more faults.
    pub fn clear(&self) {
        self.set().0.clear();
    }

    /// How many requests were struck.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.set().1
    }

    pub(crate) fn strike(&self, service: &str, method: &str) -> Option<Action> {
        let mut set = self.set();
        let (faults, count) = &mut *set;
        if faults.is_empty() {
            return None;
        }
        let method = format!("{service}/{method}");
        let struck = faults.iter_mut().find(|fault| {
            fault.times != Some(0)
                && method.contains(&fault.method)
                && rand::rng().random_bool(fault.probability)
        })?;
        if let Some(times) = &mut struck.times {
            *times -= 1;
        }
        *count += 1;
        Some(struck.action.clone())
    }
}
