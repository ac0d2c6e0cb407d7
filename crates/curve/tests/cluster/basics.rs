use bytes::Bytes;
use curve_sim::{Sim, SimConfig};
use rbdgate_curve::{
    Buffers, Client, CreateVolume, Error, OpenOptions,
    error::{Gone, Invalid},
};

use super::*;

#[tokio::test]
async fn what_is_written_is_read_and_the_rest_is_zeros() {
    let (sim, _client, volume) = opened(OpenOptions::default()).await;
    let data = pattern(64 * 1024, 1);
    volume.write(8192, data.clone()).await.expect("write");
    assert_eq!(
        volume.read(8192, data.len()).await.expect("read").into_bytes(),
        data
    );
    assert!(
        volume
            .read(0, 8192)
            .await
            .expect("read")
            .into_bytes()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert!(
        volume
            .read(5 * GIB, 1 << 20)
            .await
            .expect("read")
            .into_bytes()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert!(volume.is_allocated(0).await.expect("known"));
    assert!(!volume.is_allocated(5 * GIB).await.expect("known"));
    volume.close().await.expect("close");
    assert_eq!(sim.violations(), [""; 0]);
}

#[tokio::test]
async fn a_request_may_cross_chunks_and_segments_and_be_in_pieces() {
    let (sim, _client, volume) = opened(OpenOptions::default()).await;
    let data = pattern(5 << 20, 2);
    let pieces: Buffers = data.chunks(333_333).map(Bytes::copy_from_slice).collect();
    for offset in [CHUNK - 4096, GIB - (1 << 20)] {
        volume.write(offset, pieces.clone()).await.expect("write");
        assert_eq!(
            volume.read(offset, data.len()).await.expect("read").into_bytes(),
            data
        );
    }
    assert_eq!(sim.violations(), [""; 0]);
}

#[tokio::test]
async fn a_whole_chunk_goes_in_one_operation() {
    let sim = cluster().await;
    let mut config = config(&sim);
    config.max_rpc = CHUNK as usize;
    let client = Client::new(config).expect("client");
    create(&client, "/v").await;
    let volume = client.open("/v", OpenOptions::default()).await.expect("open");
    let data = pattern(CHUNK as usize, 3);
    volume.write(0, data.clone()).await.expect("write");
    assert_eq!(volume.read(0, data.len()).await.expect("read").into_bytes(), data);
}

#[tokio::test]
async fn striped_volumes_are_read_as_they_were_written() {
    let sim = cluster().await;
    let client = client(&sim);
    let striped = CreateVolume {
        length: 10 * GIB,
        stripe: Some((65536, 4)),
        poolset: None,
    };
    client.mds().create_volume("/s", &striped).await.expect("created");
    let volume = client.open("/s", OpenOptions::default()).await.expect("open");
    assert_eq!(
        (volume.geometry().stripe_unit, volume.geometry().stripe_count),
        (65536, 4)
    );
    let data = pattern(6 << 20, 4);
    for offset in [4096, 4 * CHUNK - (3 << 20), GIB - (2 << 20)] {
        volume.write(offset, data.clone()).await.expect("write");
        assert_eq!(
            volume.read(offset, data.len()).await.expect("read").into_bytes(),
            data
        );
        // Piece by piece it is the same.
        for at in (0..data.len()).step_by(900 * 1024) {
            let len = (data.len() - at).min(12288);
            let read = volume.read(offset + at as u64, len).await.expect("read");
            assert_eq!(read.into_bytes(), data[at..at + len]);
        }
    }
    assert_eq!(
        sim.chunk_count(),
        4 + 4 + 8,
        "a set of four, the next one, and two at the border of a segment"
    );
}

#[tokio::test]
async fn blocks_of_512_bytes_are_taken_where_the_file_has_them() {
    let config = SimConfig {
        block_size: 512,
        ..Default::default()
    };
    let sim = Sim::start(config).await.expect("cluster");
    let client = client(&sim);
    create(&client, "/v").await;
    let volume = client.open("/v", OpenOptions::default()).await.expect("open");
    assert_eq!(volume.geometry().block_size, 512);
    volume.write(1536, vec![9; 512]).await.expect("write");
    assert_eq!(
        volume.read(1024, 1536).await.expect("read").into_bytes()[..],
        [vec![0; 512], vec![9; 512], vec![0; 512]].concat()
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_it_is_sent() {
    let (sim, client, volume) = opened(OpenOptions::default()).await;
    for (offset, len) in [(1, 4096), (0, 100), (4096, 4095)] {
        assert!(matches!(
            volume.read(offset, len).await,
            Err(Error::Invalid(Invalid::Alignment { block_size: 4096, .. }))
        ));
        assert!(matches!(
            volume.write(offset, vec![0; len]).await,
            Err(Error::Invalid(Invalid::Alignment { .. }))
        ));
    }
    for offset in [10 * GIB, 10 * GIB - 4096, u64::MAX - 4095] {
        assert!(matches!(
            volume.write(offset, vec![0; 8192]).await,
            Err(Error::Invalid(Invalid::Range { .. }))
        ));
    }
    assert!(matches!(
        volume.discard(0, CHUNK).await,
        Err(Error::Invalid(Invalid::SegmentAlignment { .. }))
    ));
    client.mds().create_directory("/d").await.expect("created");
    assert!(client.open("/d", OpenOptions::default()).await.is_err());
    assert_eq!(sim.violations(), [""; 0]);
}

/// Waits until it is so.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let since = std::time::Instant::now();
    while !so().await {
        assert!(since.elapsed().as_secs() < 20, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_discarded_segment_reads_as_zeros_and_can_be_written_again() {
    let (sim, _client, volume) = opened(OpenOptions::default()).await;
    volume.write(GIB, vec![1; 4096]).await.expect("write");
    volume.write(0, vec![2; 4096]).await.expect("write");
    volume.discard(GIB, GIB).await.expect("discard");
    volume.discard(2 * GIB, GIB).await.expect("nothing is fine");
    assert!(!volume.is_allocated(GIB).await.expect("known"));
    assert_eq!(
        volume.read(GIB, 4096).await.expect("read").into_bytes()[..],
        [0; 4096]
    );
    assert_eq!(
        volume.read(0, 4096).await.expect("read").into_bytes()[..],
        [2; 4096]
    );
    volume.write(GIB, vec![3; 4096]).await.expect("write");
    assert_eq!(
        volume.read(GIB, 8192).await.expect("read").into_bytes()[..],
        [[3; 4096], [0; 4096]].concat()
    );
    eventually("the old chunk is gone", async || sim.chunk_count() == 2).await;
}

#[tokio::test]
async fn a_volume_grows_while_it_is_open() {
    let (_sim, client, volume) = opened(OpenOptions::default()).await;
    let other = client.open("/v", OpenOptions::default()).await.expect("open");
    volume.extend(12 * GIB).await.expect("extend");
    assert_eq!(volume.len(), 12 * GIB);
    volume.write(12 * GIB - 4096, vec![5; 4096]).await.expect("write");
    let error = volume.extend(11 * GIB).await.expect_err("no shrinking");
    assert_eq!(
        error.mds_status(),
        Some(rbdgate_curve::proto::namespace::StatusCode::ShrinkBiggerFile)
    );
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(other.len(), 12 * GIB, "learnt from a refresh");
    assert_eq!(
        other
            .read(12 * GIB - 4096, 4096)
            .await
            .expect("read")
            .into_bytes()[..],
        [5; 4096]
    );
}

#[tokio::test]
async fn writes_go_on_through_a_snapshot_and_it_keeps_what_was() {
    let (_sim, client, volume) = opened(OpenOptions::default()).await;
    volume.write(0, vec![1; 8192]).await.expect("write");
    let snapshot = volume
        .at_rest(client.mds().create_snapshot("/v"))
        .await
        .expect("snapshot");
    assert_eq!((snapshot.seq_num, volume.seq_num()), (1, 2));
    volume.write(0, vec![2; 4096]).await.expect("write");
    assert_eq!(
        volume.read(0, 8192).await.expect("read").into_bytes()[..],
        [[2; 4096], [1; 4096]].concat()
    );

    let segment = client
        .mds()
        .segment("/v", &volume.geometry(), 0, false, None)
        .await
        .expect("segment")
        .expect("allocated");
    let chunk = rbdgate_curve::chunk::ChunkAddress {
        copyset: rbdgate_curve::copyset::CopysetId {
            pool: segment.pool,
            copyset: segment.chunks[0].copyset,
        },
        chunk: segment.chunks[0].id,
    };
    assert_eq!(client.chunks().versions(chunk).await.expect("versions"), [2, 1]);
    let old = client
        .chunks()
        .read_snapshot(chunk, 1, 0, 8192)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(old[..], [1; 8192]);
    assert!(volume.discard(0, GIB).await.is_err(), "not under a snapshot");

    client.mds().delete_snapshot("/v", 1).await.expect("delete");
    while client.mds().snapshot_state("/v", 1).await.expect("state")
        != rbdgate_curve::mds::SnapshotState::Absent
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(client.chunks().versions(chunk).await.expect("versions"), [2]);
    volume.write(0, vec![3; 4096]).await.expect("write");
}

#[tokio::test]
async fn a_writer_that_missed_a_snapshot_learns_the_version_from_a_refusal() {
    let (_sim, client, first) = opened(OpenOptions::default()).await;
    let unrecorded = OpenOptions {
        unrecorded: true,
        ..Default::default()
    };
    let second = client.open("/v", unrecorded).await.expect("open");
    first.write(0, vec![1; 4096]).await.expect("write");
    second.write(4096, vec![1; 4096]).await.expect("write");
    first
        .at_rest(client.mds().create_snapshot("/v"))
        .await
        .expect("snapshot");
    first.write(0, vec![2; 4096]).await.expect("write");
    assert_eq!(second.seq_num(), 1);
    second
        .write(4096, vec![2; 4096])
        .await
        .expect("BACKWARD, then again with the new version");
    assert_eq!(second.seq_num(), 2);
    assert_eq!(
        second.read(0, 8192).await.expect("read").into_bytes()[..],
        [2; 8192]
    );
}

#[tokio::test]
async fn a_volume_that_is_gone_says_so() {
    let (sim, client, volume) = opened(OpenOptions::default()).await;
    // As after a fail-over, when the records are lost.
    sim.with_namespace(|namespace| {
        namespace.new_leader();
        namespace.delete("/v", None, false).expect("deleted");
    });
    let gone = |error| {
        matches!(
            error,
            Err(Error::Gone {
                reason: Gone::Deleted,
                ..
            })
        )
    };
    assert!(
        gone(volume.write(0, vec![1; 4096]).await),
        "found when it asks for the segment"
    );
    assert!(gone(volume.read(0, 4096).await.map(drop)));
    // Another volume gets the name.
    create(&client, "/v").await;
    let second = client.open("/v", OpenOptions::default()).await.expect("open");
    second.write(0, vec![1; 4096]).await.expect("write");
    sim.with_namespace(|namespace| {
        namespace.new_leader();
        namespace.delete("/v", None, false).expect("deleted");
    });
    create(&client, "/v").await;
    eventually("the session learns of it", async || {
        matches!(
            second.write(0, vec![1; 4096]).await,
            Err(Error::Gone {
                reason: Gone::Replaced,
                ..
            })
        )
    })
    .await;
}

#[tokio::test]
async fn all_of_it_is_there_after_the_cluster_was_killed() {
    let directory = tempfile::tempdir().expect("directory");
    let config = SimConfig {
        directory: Some(directory.path().to_owned()),
        ..Default::default()
    };
    let data = pattern(3 << 20, 7);
    let before = {
        let sim = Sim::start(config.clone()).await.expect("cluster");
        let client = client(&sim);
        create(&client, "/v").await;
        let volume = client.open("/v", OpenOptions::fenced()).await.expect("open");
        volume.write(CHUNK - 8192, data.clone()).await.expect("write");
        volume
            .at_rest(client.mds().create_snapshot("/v"))
            .await
            .expect("snapshot");
        volume.write(CHUNK - 8192, vec![1; 4096]).await.expect("write");
        // An open that was answered late is asked again, and counts once more.
        let file = client.mds().file("/v").await.expect("file");
        volume.abandon();
        (file.seq_num, file.epoch)
    };
    let sim = Sim::start(config).await.expect("cluster");
    let client = client(&sim);
    let file = client.mds().file("/v").await.expect("file");
    assert_eq!((file.seq_num, file.epoch), before);
    assert!(before.0 == 2 && before.1 >= 1, "{before:?}");
    let volume = client.open("/v", OpenOptions::default()).await.expect("open");
    let read = volume
        .read(CHUNK - 8192, data.len())
        .await
        .expect("read")
        .into_bytes();
    assert_eq!(read[..4096], [1; 4096]);
    assert_eq!(read[4096..], data[4096..]);
    let segment = client
        .mds()
        .segment("/v", &volume.geometry(), 0, false, None)
        .await
        .expect("segment")
        .expect("allocated");
    let chunk = rbdgate_curve::chunk::ChunkAddress {
        copyset: rbdgate_curve::copyset::CopysetId {
            pool: segment.pool,
            copyset: segment.chunks[0].copyset,
        },
        chunk: segment.chunks[0].id,
    };
    let old = client
        .chunks()
        .read_snapshot(chunk, 1, (CHUNK - 8192) as u32, 8192)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(old, data[..8192]);
}
