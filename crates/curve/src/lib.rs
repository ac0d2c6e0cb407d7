//! A native client of [CurveBS](https://github.com/opencurve/curve): volumes of a CurveBS cluster, without libcurve.
//!
//! ```no_run
//! use rbdgate_curve::{Client, Config, CreateVolume, Identity, OpenOptions};
//!
//! # async fn run() -> rbdgate_curve::Result<()> {
//! let config = Config::new(vec!["127.0.0.1:6666".parse().expect("address")], Identity::owner("lab"));
//! let client = Client::new(config)?;
//! client.mds().create_directory("/demo").await?;
//! let ten_gib = CreateVolume { length: 10 << 30, ..Default::default() };
//! client.mds().create_volume("/demo/vol", &ten_gib).await?;
//!
//! let volume = client.open("/demo/vol", OpenOptions::fenced()).await?;
//! volume.write(0, vec![7; 4096]).await?;
//! assert_eq!(volume.read(0, 4096).await?.into_bytes()[..], [7; 4096]);
//! volume.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - [`rpc`]: brpc's baidu_std. The codec ([`rpc::frame`]) does no I/O; one connection a peer carries all calls.
//! - [`proto`]: the messages, made of this crate's own proto files.
//! - [`mds`]: finds the leading MDS, files and directories, segments, snapshots; [`topology`]: pools, chunkservers, space.
//! - [`copyset`]: who leads each raft group; [`chunk`]: reads and writes with every answer a chunkserver may give.
//! - [`volume`]: offsets to chunks, striped or not; large requests in parallel; data is never copied.
//!
//! # What holds
//!
//! - An acknowledged write is durable. It is tried until it is stored or refused; what overlaps it waits
//!   ([`volume::order`]), also when its future is dropped.
//! - A WriteChunk whose attachment differs from its size would make every replica abort. It is checked on the bytes that go
//!   out ([`rpc::frame::encode_head`]).
//! - A volume opened with [`OpenOptions::fenced`] shuts out those that had it before: their writes end with
//!   [`Error::Fenced`].
//! - Nothing is allocated because of a length a peer announces, beyond what was asked for or has arrived.
//!
//! It needs a tokio runtime with time and network.

pub mod auth;
pub mod backoff;
pub mod buffers;
pub mod chunk;
mod client;
pub mod config;
pub mod copyset;
pub mod error;
pub mod mds;
pub mod proto;
pub mod rpc;
pub mod topology;
pub mod volume;

pub use auth::Identity;
pub use buffers::Buffers;
pub use client::Client;
pub use config::Config;
pub use error::{Error, Result};
pub use mds::{CreateVolume, Deletion, File, Geometry};
pub use volume::{OpenOptions, Volume};
