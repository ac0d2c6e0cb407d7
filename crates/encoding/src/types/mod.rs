//! Types that messages and maps share, one a file.

mod entity_addr;
mod entity_name;
mod entity_type_id;
mod eversion;
mod hobject;
mod listing;
mod notify;
mod object_locator;
mod op_code;
mod osd_op;
mod pg;
mod pool_stat;
mod reqid;
mod request_redirect;
pub mod snap;
mod trace;
mod utime;
mod uuid;

pub use entity_addr::{AddrType, EntityAddr, EntityAddrVec};
pub use entity_name::{EntityName, EntityType};
pub use entity_type_id::EntityTypeId;
pub use eversion::Eversion;
pub use hobject::Hobject;
pub use listing::{ListEntry, ListWatchersResponse, PgLsResponse, PgNlsResponse, WatchItem};
pub use notify::{NotifyAck, NotifyReplies, NotifyRequest};
pub use object_locator::ObjectLocator;
pub use op_code::{OpCode, OpFlags, OsdFlags};
pub use osd_op::{ClsCall, OpArgs, OsdOp};
pub use pg::{Pg, Spg};
pub use pool_stat::{ObjectStatCollection, ObjectStatSum, PoolStat, StoreStatfs};
pub use reqid::ReqId;
pub use request_redirect::RequestRedirect;
pub use snap::{CloneInfo, ListSnapsResponse, NOSNAP, SNAPDIR, SnapContext, SnapId, SnapSet};
pub use trace::BlkinTrace;
pub use utime::Utime;
pub use uuid::{NotAUuid, Uuid};
