//! The whole cluster is killed with SIGKILL and started again: what was acknowledged is there, and clients go on.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use curve::{Client, Config, CreateVolume, Identity, OpenOptions};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the binary; it serves when this returns.
fn start(directory: &Path, ports: &[u16; 4]) -> (Process, SocketAddr) {
    let [mds, chunkservers @ ..] = ports;
    let chunkservers: Vec<String> = chunkservers.iter().map(ToString::to_string).collect();
    let mut process = Process(
        Command::new(env!("CARGO_BIN_EXE_curve-sim"))
            .args([
                "--mds",
                &mds.to_string(),
                "--chunkservers",
                &chunkservers.join(","),
            ])
            .arg("--directory")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started"),
    );
    let mut line = String::new();
    let out = process.0.stdout.take().expect("output");
    BufReader::new(out).read_line(&mut line).expect("line");
    let address = line.trim().rsplit(' ').next().expect("address");
    (process, address.parse().expect("address"))
}

/// Ports below those that the system gives to clients.
fn free_ports() -> [u16; 4] {
    let held: [std::net::TcpListener; 4] = std::array::from_fn(|_| {
        loop {
            let port = rand::random_range(10_240..32_000);
            if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
                return listener;
            }
        }
    });
    held.map(|listener| listener.local_addr().expect("address").port())
}

#[tokio::test]
async fn acknowledged_writes_survive_and_an_open_volume_goes_on() {
    let directory = tempfile::tempdir().expect("directory");
    let ports = free_ports();
    let (mut process, mds) = start(directory.path(), &ports);
    let client = Client::new(Config::new(vec![mds], Identity::owner("lab"))).expect("client");
    let volume = CreateVolume {
        length: 10 << 30,
        ..Default::default()
    };
    client.mds().create_volume("/v", &volume).await.expect("created");
    let volume = client.open("/v", OpenOptions::fenced()).await.expect("open");
    let offset = |n: u64| n * (7 << 20) / 4096 * 4096;
    let block = |n: u64| n.to_le_bytes().repeat(512);
    for round in 0..3u64 {
        let writer = {
            let volume = volume.clone();
            tokio::spawn(async move {
                for n in 0..300 {
                    volume
                        .write(offset(n), block(round << 32 | n))
                        .await
                        .expect("write");
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(60)).await;
        process.0.kill().expect("killed");
        process.0.wait().expect("ended");
        process = start(directory.path(), &ports).0;
        writer.await.expect("all were written");
        for n in 0..300 {
            let read = volume.read(offset(n), 4096).await.expect("read").into_bytes();
            assert_eq!(read, block(round << 32 | n), "write {n} of round {round}");
        }
    }
    assert_eq!(client.mds().file("/v").await.expect("file").epoch, 1);
    volume.close().await.expect("close");
}
