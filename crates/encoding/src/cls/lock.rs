//! Class `lock`: what its methods take and give, and the lock as it is stored
//! (Ceph `src/cls/lock/cls_lock_types.h`, `cls_lock_ops.h`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::types::{EntityAddr, EntityName, Utime};

open_number! {
    /// `ClsLockType`.
    LockType(u8) {
        /// No lock yet.
        NONE = 0,
        /// One locker.
        EXCLUSIVE = 1,
        /// Any number of lockers.
        SHARED = 2,
        /// One locker; the object is removed with the lock.
        EXCLUSIVE_EPHEMERAL = 3,
    }
}

impl LockType {
    /// Whether a lock can have this type.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::EXCLUSIVE | Self::SHARED | Self::EXCLUSIVE_EPHEMERAL)
    }

    /// Whether there can be only one locker.
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::EXCLUSIVE | Self::EXCLUSIVE_EPHEMERAL)
    }
}

/// `LOCK_FLAG_MAY_RENEW`: taking a lock that one has is no error.
pub const FLAG_MAY_RENEW: u8 = 1;
/// `LOCK_FLAG_MUST_RENEW`: the lock must be one's own already.
pub const FLAG_MUST_RENEW: u8 = 2;

framed! {
    /// `locker_id_t`: who holds a lock. Unique within the lock.
    #[derive(PartialOrd, Ord, Hash)]
    LockerId = "locker_id_t" (1, 1) {
        /// The client.
        locker: EntityName;
        /// What the client calls this hold of the lock.
        cookie: Bytes;
    }
}

framed! {
    /// `locker_info_t`: more about who holds a lock.
    LockerInfo = "locker_info_t" (1, 1) {
        /// When the hold ends by itself; zero for never.
        expiration: Utime;
        /// Where the locker is.
        addr: EntityAddr;
        /// Free text.
        description: Bytes;
    }
}

framed! {
    /// `lock_info_t`: a lock as it is stored, and (as `cls_lock_get_info_reply`) as `get_info` answers it.
    #[derive(Default)]
    LockInfo = "lock_info_t" (1, 1) {
        /// The holders.
        lockers: BTreeMap<LockerId, LockerInfo>;
        /// The type of the lock.
        lock_type: LockType;
        /// Only requests with the same tag succeed as long as there are holders.
        tag: Bytes;
    }
}

framed! {
    /// `cls_lock_lock_op`.
    LockOp = "cls_lock_lock_op" (1, 1) {
        /// The lock.
        name: Bytes;
        /// Its type.
        lock_type: LockType;
        /// The locker's cookie.
        cookie: Bytes;
        /// The lock's tag.
        tag: Bytes;
        /// Free text.
        description: Bytes;
        /// How long the hold lasts; zero for ever.
        duration: Utime;
        /// [`FLAG_MAY_RENEW`], [`FLAG_MUST_RENEW`].
        flags: u8;
    }
}

framed! {
    /// `cls_lock_unlock_op`.
    UnlockOp = "cls_lock_unlock_op" (1, 1) {
        /// The lock.
        name: Bytes;
        /// The locker's cookie.
        cookie: Bytes;
    }
}

framed! {
    /// `cls_lock_break_op`.
    BreakOp = "cls_lock_break_op" (1, 1) {
        /// The lock.
        name: Bytes;
        /// Whose hold ends.
        locker: EntityName;
        /// That locker's cookie.
        cookie: Bytes;
    }
}

framed! {
    /// `cls_lock_get_info_op`.
    GetInfoOp = "cls_lock_get_info_op" (1, 1) {
        /// The lock.
        name: Bytes;
    }
}

framed! {
    /// `cls_lock_list_locks_reply`.
    ListLocksReply = "cls_lock_list_locks_reply" (1, 1) {
        /// Names of the object's locks.
        locks: Vec<Bytes>;
    }
}

framed! {
    /// `cls_lock_assert_op`.
    AssertOp = "cls_lock_assert_op" (1, 1) {
        /// The lock.
        name: Bytes;
        /// Its type.
        lock_type: LockType;
        /// The locker's cookie.
        cookie: Bytes;
        /// The lock's tag.
        tag: Bytes;
    }
}

framed! {
    /// `cls_lock_set_cookie_op`.
    SetCookieOp = "cls_lock_set_cookie_op" (1, 1) {
        /// The lock.
        name: Bytes;
        /// Its type.
        lock_type: LockType;
        /// The locker's cookie so far.
        cookie: Bytes;
        /// The lock's tag.
        tag: Bytes;
        /// The locker's cookie from now on.
        new_cookie: Bytes;
    }
}
