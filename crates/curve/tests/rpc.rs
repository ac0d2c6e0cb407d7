//! Connections, against peers that a test plays by hand.

use std::{
    io::Read as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message;
use rbdgate_curve::{
    Buffers,
    proto::{
        chunk::{ChunkRequest, OpType, UpdateEpochRequest, UpdateEpochResponse, chunk_service},
        meta::{RpcMeta, RpcResponseMeta},
    },
    rpc::{
        Call, Connection, Decoder, Frame, FrameError, Rpc, RpcConfig, RpcError,
        error::Closed,
        frame::{MAX_BODY, Unsendable, encode_head},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SECOND: Duration = Duration::from_secs(1);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

fn call(payload: &'static [u8]) -> Call {
    Call {
        service: "a.Service",
        method: "Method",
        payload: Bytes::from_static(payload),
        attachment: Buffers::new(),
        expect: 0,
    }
}

/// The peer's side of a connection.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        Self {
            stream: listener.accept().await.expect("accept").0,
            decoder: Decoder::new(MAX_BODY),
        }
    }

    async fn receive(&mut self) -> Frame {
        self.next().await.expect("not closed")
    }

    /// None once the connection is closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("frame") {
                return Some(frame);
            }
            match self.stream.read_buf(self.decoder.buffer()).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn reply(&mut self, to: &Frame, code: i32, payload: &[u8]) {
        let meta = RpcMeta {
            response: Some(RpcResponseMeta {
                error_code: Some(code),
                error_text: (code != 0).then(|| "words".into()),
            }),
            correlation_id: Some(to.correlation_id()),
            ..Default::default()
        };
        let head = encode_head(&meta, payload, 0).expect("frame");
        self.stream.write_all(&head).await.expect("write");
    }
}

/// A connection with default settings, and its peer.
async fn connected() -> (Connection, Peer) {
    let (listener, address) = listener().await;
    let connection = Connection::connect(address, &RpcConfig::default())
        .await
        .expect("connect");
    (connection, Peer::accept(&listener).await)
}

#[tokio::test]
async fn replies_find_their_calls_in_any_order() {
    let (connection, mut peer) = connected().await;
    let played = async {
        let first = peer.receive().await;
        let second = peer.receive().await;
        peer.reply(&second, 0, &second.payload.clone()).await;
        peer.reply(&first, 0, &first.payload.clone()).await;
    };
    let (one, two, ()) = tokio::join!(
        connection.call(call(b"one"), SECOND),
        connection.call(call(b"two"), SECOND),
        played
    );
    assert_eq!(one.expect("reply").payload, &b"one"[..]);
    assert_eq!(two.expect("reply").payload, &b"two"[..]);
}

#[tokio::test]
async fn a_reply_after_its_time_out_is_nobodys() {
    let (connection, mut peer) = connected().await;
    let error = connection
        .call(call(b"late"), Duration::from_millis(50))
        .await
        .expect_err("time-out");
    assert!(matches!(error, RpcError::Timeout) && error.is_ambiguous());
    let late = peer.receive().await;
    peer.reply(&late, 0, b"late").await;
    let played = async {
        let next = peer.receive().await;
        peer.reply(&next, 0, b"next").await;
    };
    let (next, ()) = tokio::join!(connection.call(call(b"next"), SECOND), played);
    assert_eq!(next.expect("reply").payload, &b"next"[..]);
}

#[tokio::test]
async fn a_servers_error_comes_with_its_words() {
    let (connection, mut peer) = connected().await;
    let played = async {
        let request = peer.receive().await;
        peer.reply(&request, 2003, b"").await;
    };
    let (result, ()) = tokio::join!(connection.call(call(b""), SECOND), played);
    let error = result.expect_err("error");
    assert!(!error.is_ambiguous());
    assert!(matches!(error, RpcError::Remote { code: 2003, text } if text == "words"));
}

#[tokio::test]
async fn what_is_not_a_frame_ends_the_connection_and_its_calls() {
    let huge = [b"PRPC", &[0xff; 8][..]].concat();
    for (sent, reason) in [
        (
            b"HTTP/1.1 400 Bad Request".to_vec(),
            Closed::Frame(FrameError::Magic),
        ),
        (
            huge,
            Closed::Frame(FrameError::BodyTooLarge {
                len: u32::MAX as usize,
                max: MAX_BODY,
            }),
        ),
        (Vec::new(), Closed::ByPeer),
    ] {
        let (listener, address) = listener().await;
        let connection = Connection::connect(address, &RpcConfig::default())
            .await
            .expect("connect");
        let mut peer = Peer::accept(&listener).await;
        let played = async {
            peer.receive().await;
            peer.stream.write_all(&sent).await.expect("write");
            drop(peer);
        };
        let (result, ()) = tokio::join!(connection.call(call(b"x"), SECOND), played);
        assert!(matches!(result, Err(RpcError::Closed(closed)) if closed == reason));
        assert!(!connection.is_open());
        assert!(matches!(
            connection.call(call(b"x"), SECOND).await,
            Err(RpcError::Closed(_))
        ));
    }
}

#[tokio::test]
async fn a_write_with_the_wrong_size_never_reaches_the_peer() {
    let (connection, mut peer) = connected().await;
    let write = Call {
        service: chunk_service::NAME,
        method: "WriteChunk",
        payload: ChunkRequest {
            op_type: OpType::Write.0,
            size: Some(8192),
            ..Default::default()
        }
        .encode_to_vec()
        .into(),
        attachment: Buffers::zeros(4096),
        expect: 0,
    };
    let error = connection.call(write, SECOND).await.expect_err("refused");
    assert!(!error.is_ambiguous());
    assert!(matches!(
        error,
        RpcError::Unsendable(Unsendable::WriteSize {
            size: Some(8192),
            attachment: 4096
        })
    ));
    let played = async {
        let request = peer.receive().await;
        assert_eq!(request.payload, &b"next"[..], "nothing came before");
        peer.reply(&request, 0, b"").await;
    };
    let (next, ()) = tokio::join!(connection.call(call(b"next"), SECOND), played);
    next.expect("the connection goes on");
}

#[tokio::test]
async fn a_call_given_up_before_it_was_written_is_not_sent() {
    let (connection, mut peer) = connected().await;
    // On one thread the writer runs only when we wait; a large call is always its own.
    let large = Call {
        attachment: Buffers::zeros(1 << 20),
        ..call(b"never")
    };
    let mut given_up = Box::pin(connection.call(large, SECOND));
    let polled =
        std::future::poll_fn(|context| std::task::Poll::Ready(given_up.as_mut().poll(context).is_pending()))
            .await;
    assert!(polled);
    drop(given_up);
    let played = async {
        let request = peer.receive().await;
        assert_eq!(request.payload, &b"sent"[..]);
        peer.reply(&request, 0, b"").await;
    };
    let (sent, ()) = tokio::join!(connection.call(call(b"sent"), SECOND), played);
    sent.expect("reply");
}

#[tokio::test]
async fn a_small_call_on_an_idle_connection_is_sent_when_it_is_first_polled() {
    let (connection, mut peer) = connected().await;
    let played = async {
        let request = peer.receive().await;
        peer.reply(&request, 0, b"").await;
    };
    let (first, ()) = tokio::join!(connection.call(call(b"first"), SECOND), played);
    first.expect("reply");
    let mut small = Box::pin(connection.call(call(b"small"), SECOND));
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(small.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    // Read without letting any task run.
    let mut socket = peer.stream.into_std().expect("socket");
    socket.set_nonblocking(false).expect("blocking");
    socket.set_read_timeout(Some(SECOND)).expect("time-out");
    let mut bytes = [0; 256];
    let read = socket.read(&mut bytes).expect("it is there");
    assert!(bytes[..read].ends_with(b"small"), "{bytes:?}");
}

#[tokio::test]
async fn a_peer_that_is_silent_for_long_is_left_and_connected_to_again() {
    let (listener, address) = listener().await;
    let config = RpcConfig {
        silence: Duration::from_millis(100),
        ..Default::default()
    };
    let rpc = Rpc::new(config);
    let silent = async {
        let mut peer = Peer::accept(&listener).await;
        let mut received = 0;
        while peer
            .stream
            .read_buf(peer.decoder.buffer())
            .await
            .is_ok_and(|read| read > 0)
        {
            received += 1;
        }
        received
    };
    let calling = async {
        loop {
            let error = rpc
                .call(address, call(b"x"), Duration::from_millis(30))
                .await
                .expect_err("silence");
            assert!(matches!(error, RpcError::Timeout | RpcError::Closed(_)));
        }
    };
    let received = tokio::select! {
        received = silent => received,
        () = calling => unreachable!("it calls for ever"),
    };
    assert!(received > 1, "the first time-out does not end it");
    // A call may have been made by the new connection already; and on a slow machine that seems silent as well.
    let played = async {
        loop {
            let mut peer = Peer::accept(&listener).await;
            while let Some(request) = peer.next().await {
                peer.reply(&request, 0, b"").await;
            }
        }
    };
    let answered = async { while rpc.call(address, call(b"x"), SECOND).await.is_err() {} };
    tokio::select! {
        () = answered => {}
        () = played => unreachable!("it plays for ever"),
    }
}

#[tokio::test]
async fn calls_that_wait_for_one_connection_share_its_failure() {
    // A listener whose queue is full: the system drops what knocks.
    let socket = tokio::net::TcpSocket::new_v4().expect("socket");
    socket
        .bind("127.0.0.1:0".parse().expect("address"))
        .expect("bind");
    let listener = socket.listen(1).expect("listen");
    let address = listener.local_addr().expect("address");
    let mut knocking = Vec::new();
    for _ in 0..4 {
        knocking.push(tokio::spawn(TcpStream::connect(address)));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let config = RpcConfig {
        connect_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let rpc = Rpc::new(config);
    let started = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let rpc = rpc.clone();
            tokio::spawn(async move { rpc.call(address, call(b"x"), SECOND).await })
        })
        .collect();
    for call in calls {
        assert!(matches!(call.await.expect("task"), Err(RpcError::Connect(_))));
    }
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn nobody_listening_is_told_at_once_and_is_not_ambiguous() {
    let (listener, address) = listener().await;
    drop(listener);
    let started = Instant::now();
    let error = Rpc::new(RpcConfig::default())
        .call(address, call(b"x"), SECOND)
        .await
        .expect_err("refused");
    assert!(matches!(error, RpcError::Connect(_)) && !error.is_ambiguous());
    assert!(started.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_reply_without_a_status_is_no_success() {
    let (listener, address) = listener().await;
    let rpc = Rpc::new(RpcConfig::default());
    let request = UpdateEpochRequest { file_id: 1, epoch: 1 };
    let played = async {
        let mut peer = Peer::accept(&listener).await;
        for reply in [
            &UpdateEpochResponse { status: None }.encode_to_vec()[..],
            b"\xff",
            b"\x08\x00",
        ] {
            let request = peer.receive().await;
            peer.reply(&request, 0, reply).await;
        }
    };
    let asked = async {
        assert!(matches!(
            rpc.request(address, &request, SECOND).await,
            Err(RpcError::NoStatus)
        ));
        assert!(matches!(
            rpc.request(address, &request, SECOND).await,
            Err(RpcError::Reply)
        ));
        assert_eq!(
            rpc.request(address, &request, SECOND)
                .await
                .expect("reply")
                .status,
            Some(0)
        );
    };
    tokio::join!(played, asked);
}

#[tokio::test]
async fn what_a_given_up_connection_had_not_sent_never_arrives() {
    const CALLS: usize = 16;
    const SIZE: usize = 4 << 20;
    let (listener, address) = listener().await;
    let rpc = Rpc::new(RpcConfig::default());
    let large = || Call {
        attachment: Buffers::zeros(SIZE),
        ..call(b"")
    };
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let rpc = rpc.clone();
            tokio::spawn(async move { rpc.call(address, large(), Duration::from_secs(5)).await })
        })
        .collect();
    let mut peer = Peer::accept(&listener).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    rpc.abort(address).await;
    for call in calls {
        let result = call.await.expect("task");
        assert!(
            matches!(result, Err(RpcError::Closed(Closed::GivenUp))),
            "{result:?}"
        );
    }
    // The peer reads only now, and what it had not taken is gone.
    let mut received = Vec::new();
    let end = peer.stream.read_to_end(&mut received).await;
    assert!(end.is_err(), "reset");
    assert!(
        received.len() < CALLS * SIZE / 2,
        "{} bytes arrived",
        received.len()
    );
}
