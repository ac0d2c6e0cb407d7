//! Messages and their types against the encodings of Ceph's own code.

use super::*;
use crate::{
    testing::{Expect, check_message, check_type},
    types::{CloneInfo, Hobject, ListSnapsResponse, ObjectLocator, RequestRedirect, SnapContext, SnapSet},
};

#[test]
fn types_of_objects_read_and_write_as_ceph_does() {
    check_type::<ObjectLocator>("object_locator_t");
    check_type::<Hobject>("hobject_t");
    check_type::<SnapContext>("SnapContext");
    check_type::<SnapSet>("SnapSet");
    check_type::<CloneInfo>("clone_info");
    check_type::<RequestRedirect>("request_redirect_t");
    check_type::<ListSnapsResponse>("obj_list_snap_response_t");
}

#[test]
fn osd_op_reads_and_writes_as_ceph_does() {
    check_message::<MOsdOp>(
        "MOSDOp",
        &[
            (
                "zero",
                Expect::Refused,
                "version 1, which no current decoder reads back",
            ),
            (
                "reef/all",
                Expect::Differs,
                "reef does not know SERVER_SQUID and writes version 8",
            ),
        ],
    );
}

#[test]
fn osd_op_reply_reads_and_writes_as_ceph_does() {
    check_message::<MOsdOpReply>(
        "MOSDOpReply",
        &[("zero", Expect::Refused, "version 1, for peers without PGID64")],
    );
}
