//! Who asks: owner, date and the root owner's signature. Defined by CurveBS's `authenticator.cpp`.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The owner on whose behalf a client works. Owners other than root are names only: CurveBS checks no password.
#[derive(Clone)]
pub struct Identity {
    owner: String,
    password: Option<String>,
}

/// What goes with each request to the MDS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The owner's name.
    pub owner: String,
    /// Microseconds since the epoch. The MDS refuses it when its clock is 15 s off.
    pub date: u64,
    /// Empty without a password.
    pub signature: String,
}

impl Identity {
    /// An owner without a password.
    #[must_use]
    pub fn owner(name: impl Into<String>) -> Self {
        Self {
            owner: name.into(),
            password: None,
        }
    }

    /// The root owner (`root` by default), who passes all checks of owners.
    #[must_use]
    pub fn root(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            owner: name.into(),
            password: Some(password.into()),
        }
    }

    /// The owner's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.owner
    }

    /// A stamp of now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.stamp_at(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    /// A stamp of `date`, in microseconds since the epoch.
    #[must_use]
    pub fn stamp_at(&self, date: u64) -> Stamp {
        let signature = match &self.password {
            Some(password) => sign(password, date, &self.owner),
            None => String::new(),
        };
        Stamp {
            owner: self.owner.clone(),
            date,
            signature,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.owner)
    }
}

/// Base64 of the HMAC-SHA256, keyed with the password, of `date:owner`.
#[must_use]
pub fn sign(password: &str, date: u64, owner: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(password.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{date}:{owner}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_recorded_client_did() {
        // ListDir of `/` in the recorded session.
        assert_eq!(
            Identity::root("root", "root_password")
                .stamp_at(1_795_187_849_116_966)
                .signature,
            "LvAaJT7chMACa7jPy0fY+FEw6WkFa2BlgDBWj8mMvxM="
        );
    }

    #[test]
    fn other_owners_do_not_sign() {
        let stamp = Identity::owner("lab").stamp();
        assert_eq!((stamp.owner.as_str(), stamp.signature.as_str()), ("lab", ""));
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Identity::root("root", "secret")), "root");
    }
}
