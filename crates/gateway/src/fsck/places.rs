//! Volumes in a CurveBS cluster: that each is there, long enough for what it holds, and one image's alone.

use std::{collections::HashMap, io};

use store::{Store, StoreError};

/// What is wrong with where volumes lie. Nothing of it can be repaired here: what is gone from the cluster is gone.
///
/// `look` tells the length of the volume at a place, or that there is none.
pub(super) fn check(
    store: &Store,
    look: impl Fn(&str) -> io::Result<Option<u64>>,
) -> Result<Vec<String>, StoreError> {
    let mut wrong = Vec::new();
    let mut users: HashMap<String, String> = HashMap::new();
    for (name, volume) in store.volume_names() {
        let place = store.volume_place(volume)?;
        if let Some(other) = users.insert(place.clone(), name.clone()) {
            wrong.push(format!("{other} and {name} both lie in {place}"));
        }
        let end = store.volume_end(volume)?;
        // One that was never written need not be there.
        if end == 0 {
            continue;
        }
        match look(&place) {
            Ok(Some(length)) if length >= end => {}
            Ok(Some(length)) => wrong.push(format!(
                "{place} ({name}) has {length} bytes, and holds data up to {end}"
            )),
            Ok(None) => wrong.push(format!(
                "{place} ({name}), which holds data, is not in the cluster"
            )),
            Err(error) => wrong.push(format!("{place} ({name}) cannot be looked at: {error}")),
        }
    }
    Ok(wrong)
}
