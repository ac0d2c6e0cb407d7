use curve_sim::{Action, Fault, Sim, SimConfig};
use rbdgate_curve::{
    Client, CreateVolume, Deletion, Error, Identity, OpenOptions, proto::namespace::StatusCode,
};

use super::*;

fn status<T: std::fmt::Debug>(result: rbdgate_curve::Result<T>) -> Option<StatusCode> {
    result.expect_err("refused").mds_status()
}

fn root(sim: &Sim) -> Client {
    let mut config = config(sim);
    config.identity = Identity::root("root", "root_password");
    Client::new(config).expect("client")
}

#[tokio::test]
async fn files_are_made_found_renamed_and_deleted() {
    let sim = cluster().await;
    let client = client(&sim);
    let mds = client.mds();
    mds.create_directory("/d").await.expect("directory");
    create(&client, "/d/v").await;
    let file = mds.file("/d/v").await.expect("file");
    assert_eq!(
        (file.length, file.seq_num, file.owner.as_str()),
        (10 * GIB, 1, "lab")
    );
    let names: Vec<_> = mds
        .list("/d")
        .await
        .expect("list")
        .into_iter()
        .map(|file| file.name)
        .collect();
    assert_eq!(names, ["v"]);
    mds.rename("/d/v", "/d/w").await.expect("rename");
    assert_eq!(status(mds.file("/d/v").await), Some(StatusCode::FileNotExists));
    assert_eq!(
        status(mds.delete("/d", Deletion::Recycle).await),
        Some(StatusCode::DirNotEmpty)
    );
    mds.delete("/d/w", Deletion::Recycle).await.expect("delete");
    mds.delete("/d", Deletion::Recycle).await.expect("delete");

    let root = root(&sim);
    let bin = root.mds().list("/RecycleBin").await.expect("list");
    assert_eq!(bin.len(), 1);
    let path = format!("/RecycleBin/{}", bin[0].name);
    root.mds().change_owner(&path, "eve").await.expect("root may");
    root.mds().delete(&path, Deletion::Force).await.expect("purge");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(root.mds().list("/RecycleBin").await.expect("list").is_empty());
}

#[tokio::test]
async fn refusals_are_the_clusters() {
    let sim = cluster().await;
    let client = client(&sim);
    let mds = client.mds();
    create(&client, "/v").await;
    let volume = |length| CreateVolume {
        length,
        ..Default::default()
    };
    assert_eq!(
        status(mds.create_volume("/v", &volume(10 * GIB)).await),
        Some(StatusCode::FileExists)
    );
    assert_eq!(
        status(mds.create_volume("/w", &volume(GIB)).await),
        Some(StatusCode::FileLengthNotSupported)
    );
    assert_eq!(
        status(mds.create_volume("/no/w", &volume(10 * GIB)).await),
        Some(StatusCode::FileNotExists)
    );
    assert_eq!(status(mds.list("/").await), Some(StatusCode::OwnerAuthFail));
    let mut other = config(&sim);
    other.identity = Identity::owner("eve");
    let other = Client::new(other).expect("client");
    assert_eq!(
        status(other.mds().file("/v").await),
        Some(StatusCode::OwnerAuthFail)
    );
    other
        .mds()
        .create_directory("/eve")
        .await
        .expect("anyone may below /");
    assert!(root(&sim).mds().file("/").await.is_ok());
    assert!(matches!(mds.file("v").await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn an_open_volume_cannot_be_deleted_until_it_is_closed() {
    let (_sim, client, volume) = opened(OpenOptions::default()).await;
    assert_eq!(
        status(client.mds().delete("/v", Deletion::Recycle).await),
        Some(StatusCode::FileOccupied)
    );
    assert_eq!(client.mds().mount_points("/v").await.expect("records").len(), 1);
    volume.close().await.expect("close");
    assert!(client.mds().mount_points("/v").await.expect("records").is_empty());
    client
        .mds()
        .delete("/v", Deletion::Recycle)
        .await
        .expect("delete");
}

#[tokio::test]
async fn records_are_kept_alive_while_a_volume_is_open() {
    let config = SimConfig {
        record_expiry: std::time::Duration::from_millis(400),
        ..Default::default()
    };
    let sim = Sim::start(config).await.expect("cluster");
    let client = client(&sim);
    create(&client, "/v").await;
    let volume = client.open("/v", OpenOptions::default()).await.expect("open");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(
        status(client.mds().delete("/v", Deletion::Recycle).await),
        Some(StatusCode::FileOccupied)
    );
    drop(volume);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    client
        .mds()
        .delete("/v", Deletion::Recycle)
        .await
        .expect("expired");
}

#[tokio::test]
async fn a_lost_reply_does_not_turn_success_into_a_refusal() {
    let sim = cluster().await;
    let client = client(&sim);
    let mds = client.mds();
    let lose = |method| sim.faults().add(Fault::next(method, Action::LoseReply));
    lose("CreateFile");
    mds.create_directory("/d").await.expect("directory");
    lose("CreateFile");
    create(&client, "/d/v").await;
    lose("RenameFile");
    mds.rename("/d/v", "/d/w").await.expect("rename");
    lose("ExtendFile");
    mds.extend("/d/w", 11 * GIB).await.expect("extend");
    lose("CreateSnapShot");
    assert_eq!(mds.create_snapshot("/d/w").await.expect("snapshot").seq_num, 1);
    lose("DeleteSnapShot");
    mds.delete_snapshot("/d/w", 1).await.expect("delete");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    lose("DeleteFile");
    mds.delete("/d/w", Deletion::Recycle).await.expect("delete");
    assert_eq!(sim.faults().count(), 7);
}

#[tokio::test]
async fn a_young_mds_says_not_supported_and_is_asked_again() {
    let config = SimConfig {
        young: std::time::Duration::from_secs(1),
        ..Default::default()
    };
    let sim = Sim::start(config).await.expect("cluster");
    let client = client(&sim);
    create(&client, "/v").await;
    client
        .mds()
        .delete("/v", Deletion::Recycle)
        .await
        .expect("after a second");
}

#[tokio::test]
async fn the_leading_mds_is_found_wherever_it_is() {
    let config = SimConfig {
        mds_ports: vec![0; 3],
        ..Default::default()
    };
    let sim = Sim::start(config).await.expect("cluster");
    let client = client(&sim);
    create(&client, "/v").await;
    for _ in 0..4 {
        sim.fail_over_mds().await.expect("fail over");
        client.mds().file("/v").await.expect("found");
    }
    sim.kill_mds().await;
    let started = std::time::Instant::now();
    assert!(matches!(
        client.mds().file("/v").await,
        Err(Error::NoMds {
            method: "GetFileInfo",
            ..
        })
    ));
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn topology_tells_what_there_is_and_how_much() {
    let sim = cluster().await;
    let client = client(&sim);
    let mds = client.mds();
    create(&client, "/v").await;
    let volume = client.open("/v", OpenOptions::default()).await.expect("open");
    volume.write(0, vec![1; 4096]).await.expect("write");
    assert!(!mds.cluster_id().await.expect("id").is_empty());
    assert_eq!(mds.poolsets().await.expect("poolsets").len(), 1);
    assert_eq!(mds.chunkservers().await.expect("chunkservers").len(), 3);
    let capacity = mds.capacity().await.expect("capacity");
    assert_eq!(
        (capacity.chunkservers, capacity.unavailable, capacity.replicas()),
        (3, 0, 3)
    );
    assert_eq!((capacity.allocated, capacity.pools[0].allocated), (GIB, GIB));
    assert_eq!(capacity.total(), 1 << 40);
    assert_eq!(mds.file_size("/").await.expect("size"), 10 * GIB);
    sim.kill_chunkserver(2).await;
    assert_eq!(mds.capacity().await.expect("capacity").unavailable, 1);
    assert!(mds.copyset_servers(2, &[99]).await.is_err());
}
