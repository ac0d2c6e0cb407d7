//! Who created each image: recorded with its header, and told to the store when the image's volume is made. What comes of it
//! is the backend's business: on CurveBS volumes have owners.

use bytes::Bytes;
use store::{Store, StoreError, Transaction};

use super::{Objects, id::ObjectId, keys};

const HEADER: &[u8] = b"rbd_header.";

/// The header of an image: its pool and namespace, and its id for a name.
#[must_use]
pub fn header_of(image: &ObjectId) -> ObjectId {
    ObjectId::new(
        image.pool,
        image.nspace.clone(),
        [HEADER, image.name.as_ref()].concat(),
    )
}

/// The row of the image whose header this is; `None` if it is no header.
fn row(header: &ObjectId) -> Option<Bytes> {
    let image = header.name.strip_prefix(HEADER)?;
    header
        .key
        .is_empty()
        .then(|| keys::creator(header.pool, &header.nspace, image))
}

/// Adds to the transaction that changes `object` who created the image, if it is the header of one and comes into being; and
/// removes that when the header is removed. `entity` is the one that asked for the change, as `client.admin`; daemons make images on
/// somebody else's behalf, who is not known.
pub fn record(tx: &mut Transaction, object: &ObjectId, existed: bool, exists: bool, entity: &str) {
    if existed == exists {
        return;
    }
    let Some(row) = row(object) else { return };
    if !exists {
        tx.delete(row);
    } else if entity.starts_with("client.") {
        tx.put(row, entity.as_bytes().to_vec());
    }
}

/// Who created the image with this id, as `client.admin`; unknown for images that were adopted, or are older than the record.
///
/// # Errors
/// If the store fails.
pub fn creator(store: &Store, pool: i64, nspace: &[u8], image: &[u8]) -> Result<Option<String>, StoreError> {
    let row = store.get(&keys::creator(pool, nspace, image))?;
    Ok(row.map(|name| String::from_utf8_lossy(&name).into_owned()))
}

impl Objects {
    /// Who created an image: its pool and namespace, and its id for a name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn creator_of(&self, image: &ObjectId) -> Result<Option<String>, StoreError> {
        creator(self.store(), image.pool, &image.nspace, &image.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_have_creators() {
        let named = |name: &'static str| ObjectId::new(3, "ns", name);
        assert_eq!(
            row(&named("rbd_header.10ab")),
            Some(keys::creator(3, b"ns", b"10ab"))
        );
        assert_eq!(row(&named("rbd_id.disk")), None);
        let mut elsewhere = named("rbd_header.10ab");
        elsewhere.key = Bytes::from_static(b"locator");
        assert_eq!(row(&elsewhere), None);
    }
}
