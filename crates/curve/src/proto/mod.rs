//! The messages of CurveBS, as far as a volume client uses them. They are made of the files in `proto/`, whose field numbers and
//! types are CurveBS's; names of messages and fields do not travel.
//!
//! What a request must carry is `required` there, so that it is sent even where it has the default value. In replies
//! everything is optional: a missing status must not read as "all is well" (see [`Reply`]).

#[macro_use]
mod wire_enum;

/// As the build makes them, in the packages of the proto files.
#[allow(unreachable_pub, reason = "what is public is said below")]
mod generated {
    pub mod brpc {
        pub mod policy {
            include!(concat!(env!("OUT_DIR"), "/brpc.policy.rs"));
        }
    }
    pub mod curve {
        pub mod chunkserver {
            include!(concat!(env!("OUT_DIR"), "/curve.chunkserver.rs"));
        }
        pub mod common {
            include!(concat!(env!("OUT_DIR"), "/curve.common.rs"));
        }
        pub mod mds {
            include!(concat!(env!("OUT_DIR"), "/curve.mds.rs"));
            // Not with the namespace's messages.
            pub(in crate::proto) mod topology {
                include!(concat!(env!("OUT_DIR"), "/curve.mds.topology.rs"));
            }
        }
    }
}

pub mod chunk;

/// What several services share (`common.proto`).
pub mod common {
    pub use super::generated::curve::common::*;
}

/// The envelope of every call (`brpc.proto`).
pub mod meta {
    pub use super::generated::brpc::policy::*;
}

/// The MDS's namespace (`files.proto`, `nameserver2.proto`).
///
/// Mind the numbers of owner, date and signature: they differ in almost every message.
pub mod namespace {
    pub use super::generated::curve::mds::*;
}

/// The MDS's topology (`topology.proto`).
pub mod topology {
    pub use super::generated::curve::mds::topology::*;
}

/// A request of one method.
pub trait Request: prost::Message + Default {
    /// The full name of the service.
    const SERVICE: &'static str;
    /// The method's name.
    const METHOD: &'static str;
    /// The numbers of the fields which a server insists on.
    const REQUIRED: &'static [u32];
    /// What is answered.
    type Reply: Reply;
}

/// A reply: it says at least how it went.
pub trait Reply: prost::Message + Default + 'static {
    /// The status, if the server sent one. Replies without a status of their own answer 0.
    fn status(&self) -> Option<i32>;
}
