//! Types that messages and maps share, one a file.

mod entity_addr;
mod entity_name;
mod eversion;
mod pg;
mod reqid;
mod utime;
mod uuid;

pub use entity_addr::{AddrType, EntityAddr, EntityAddrVec};
pub use entity_name::{EntityName, EntityType};
pub use eversion::Eversion;
pub use pg::{Pg, Spg};
pub use reqid::ReqId;
pub use utime::Utime;
pub use uuid::{NotAUuid, Uuid};
