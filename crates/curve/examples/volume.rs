//! Reads and writes a volume of a CurveBS cluster:
//!
//! ```text
//! cargo run -p rbdgate-curve --example volume -- 127.0.0.1:6666,127.0.0.1:6667 lab /demo/vol
//! ```
//!
//! Makes the directory and a volume of 10 GiB where they do not exist, writes a line into its second block, reads it back, and
//! tells about the cluster. Set `CURVE_PASSWORD` for the root owner.

use std::net::SocketAddr;

use rbdgate_curve::{
    Client, Config, CreateVolume, Error, Identity, OpenOptions, Result, error::Invalid,
    proto::namespace::StatusCode,
};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mds, owner, path] = arguments.as_slice() else {
        eprintln!("usage: volume MDS[,MDS...] OWNER PATH");
        return 2.into();
    };
    match run(mds, owner, path).await {
        Ok(()) => 0.into(),
        Err(error) => {
            eprintln!("{error}");
            1.into()
        }
    }
}

/// What is there already is fine.
fn exists_or(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.mds_status() == Some(StatusCode::FileExists) => Ok(()),
        result => result,
    }
}

async fn run(mds: &str, owner: &str, path: &str) -> Result<()> {
    let addresses: Vec<SocketAddr> = mds
        .split(',')
        .filter_map(|address| address.parse().ok())
        .collect();
    let identity = match std::env::var("CURVE_PASSWORD") {
        Ok(password) => Identity::root(owner, password),
        Err(_) => Identity::owner(owner),
    };
    let client = Client::new(Config::new(addresses, identity))?;
    println!("cluster {}", client.mds().cluster_id().await?);

    let (directory, _name) = path
        .rsplit_once('/')
        .ok_or_else(|| Invalid::Path(path.to_owned()))?;
    if !directory.is_empty() {
        exists_or(client.mds().create_directory(directory).await)?;
    }
    let ten_gib = CreateVolume {
        length: 10 << 30,
        ..Default::default()
    };
    exists_or(client.mds().create_volume(path, &ten_gib).await)?;

    // As the only writer: whoever had the volume open with an epoch before cannot write any more.
    let volume = client.open(path, OpenOptions::fenced()).await?;
    let geometry = volume.geometry();
    println!(
        "{volume:?}, blocks of {}, epoch {:?}",
        geometry.block_size,
        volume.epoch()
    );

    let block = geometry.block_size as usize;
    let mut line = b"written by the example\n".to_vec();
    line.resize(block, 0);
    volume.write(block as u64, line.clone()).await?;
    let read = volume.read(0, 2 * block).await?.into_bytes();
    assert_eq!(read[block..], line, "what was written is read");
    print!("{}", String::from_utf8_lossy(&read[block..block + 23]));

    let refused = volume.write(1, vec![0; block]).await;
    assert!(
        matches!(refused, Err(Error::Invalid(Invalid::Alignment { .. }))),
        "whole blocks only"
    );

    let capacity = client.mds().capacity().await?;
    println!(
        "{} of {} bytes used, {} allocated",
        capacity.used(),
        capacity.total(),
        capacity.allocated
    );
    volume.close().await
}
