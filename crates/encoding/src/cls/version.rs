//! Class `version`: versions that clients keep with an object (Ceph `src/cls/version/cls_version_types.h`,
//! `cls_version_ops.h`).

use bytes::Bytes;

framed! {
    /// `obj_version`.
    #[derive(Default)]
    ObjVersion = "obj_version" (1, 1) {
        /// Its number.
        ver: u64;
        /// Tells numbers of different origin apart.
        tag: Bytes;
    }
}

open_number! {
    /// `VersionCond`: how the stored version must relate to the one given.
    VersionCond(u32) {
        /// Any.
        NONE = 0,
        /// Same number and tag.
        EQ = 1,
        /// Greater.
        GT = 2,
        /// Greater or equal.
        GE = 3,
        /// Less.
        LT = 4,
        /// Less or equal.
        LE = 5,
        /// Same tag.
        TAG_EQ = 6,
        /// Another tag.
        TAG_NE = 7,
    }
}

framed! {
    /// `obj_version_cond`.
    ObjVersionCond = "obj_version_cond" (1, 1) {
        /// What to compare with.
        ver: ObjVersion;
        /// How.
        cond: VersionCond;
    }
}

framed! {
    /// `cls_version_set_op`, and `cls_version_read_ret`.
    SetOp = "cls_version_set_op" (1, 1) {
        /// The version.
        objv: ObjVersion;
    }
}

framed! {
    /// `cls_version_inc_op`, and `cls_version_check_op`.
    CheckOp = "cls_version_check_op" (1, 1) {
        /// Unused.
        objv: ObjVersion;
        /// All must hold.
        conds: Vec<ObjVersionCond>;
    }
}
