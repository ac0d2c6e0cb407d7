//! The client against a simulated cluster.

mod basics;
mod faults;
mod fencing;
mod load;
mod model;
mod namespace;

use std::time::Duration;

use curve_sim::{Sim, SimConfig};
use rbdgate_curve::{Client, Config, CreateVolume, Identity, OpenOptions, Volume};

const GIB: u64 = 1 << 30;
const CHUNK: u64 = 16 << 20;

/// A client with time-outs for tests: a lost reply costs 200 ms.
fn config(sim: &Sim) -> Config {
    let mut config = Config::new(sim.mds_addresses(), Identity::owner("lab"));
    config.chunk_timeout = Duration::from_millis(200);
    config.chunk_max_timeout = Duration::from_secs(2);
    config.leader_timeout = Duration::from_millis(200);
    config.mds_timeout = Duration::from_millis(200);
    config.refresh_interval = Duration::from_millis(100);
    config.overload_pause = Duration::from_millis(10);
    config
}

fn client(sim: &Sim) -> Client {
    Client::new(config(sim)).expect("client")
}

async fn cluster() -> Sim {
    Sim::start(SimConfig::default()).await.expect("cluster")
}

async fn create(client: &Client, path: &str) {
    let volume = CreateVolume {
        length: 10 * GIB,
        ..Default::default()
    };
    client.mds().create_volume(path, &volume).await.expect("created");
}

/// A cluster with one open volume of 10 GiB.
async fn opened(options: OpenOptions) -> (Sim, Client, Volume) {
    let sim = cluster().await;
    let client = client(&sim);
    create(&client, "/v").await;
    let volume = client.open("/v", options).await.expect("open");
    (sim, client, volume)
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|n| (n / 512) as u8 ^ (n as u8).wrapping_mul(31) ^ seed)
        .collect()
}
