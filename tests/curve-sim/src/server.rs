//! A brpc server: frames in, answers out, any number of connections.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, task::Poll};

use bytes::{Buf, Bytes};
use curve::{
    proto::{
        Request,
        meta::{RpcMeta, RpcResponseMeta},
    },
    rpc::{Decoder, Frame, code, frame::MAX_BODY, frame::encode_head},
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use crate::faults::{Action, Faults};

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// A reply with its data.
    Reply(Vec<u8>, Bytes),
    /// The call as such fails.
    Error(i32, String),
    /// No reply, ever.
    Nothing,
    /// The connection breaks.
    Close,
}

/// What a server does with requests.
pub trait Service: Send + Sync + 'static {
    /// Runs a request. `late` is a fault that the service has to play itself.
    fn run(
        &self,
        request: &Frame,
        peer: SocketAddr,
        late: Option<std::time::Duration>,
    ) -> impl Future<Output = Answer> + Send;

    /// A reply that is only a status, for a method; not all have one.
    fn status(&self, service: &str, method: &str, status: i32) -> Option<Vec<u8>>;
}

/// A server that can be killed.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts to listen; port 0 is any.
    ///
    /// # Errors
    /// As the socket says.
    pub async fn start<S: Service>(
        address: SocketAddr,
        service: Arc<S>,
        faults: Arc<Faults>,
    ) -> std::io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener: TcpListener = socket.listen(128)?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Dropping the set with the task kills all connections.
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        connections.spawn(serve(stream, peer, address, service.clone(), faults.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accept");
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                }
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops at once: connections break, and what runs is left where it is.
    pub async fn kill(mut self) {
        self.task.abort();
        // When this returns the port is free and nothing runs any more.
        let _ = (&mut self.task).await;
    }
}

async fn serve<S: Service>(
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    service: Arc<S>,
    faults: Arc<Faults>,
) {
    // A latency of a segment's delay would hide all others.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (mut read, mut write) = stream.into_split();
    let (answers, mut answered) = mpsc::unbounded_channel::<Option<(Bytes, Bytes)>>();
    let writer = async move {
        while let Some(Some((head, data))) = answered.recv().await {
            let mut all = head.chain(data);
            if write.write_all_buf(&mut all).await.is_err() {
                return;
            }
        }
    };
    let reader = async move {
        let mut running = JoinSet::new();
        let mut decoder = Decoder::new(MAX_BODY);
        loop {
            loop {
                let frame = match decoder.next_frame() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "connection closed");
                        return;
                    }
                };
                let (service, faults, answers) = (service.clone(), faults.clone(), answers.clone());
                let mut run = Box::pin(tokio::task::unconstrained(async move {
                    let id = frame.correlation_id();
                    match answer(&*service, &faults, &frame, peer).await {
                        Answer::Nothing => {}
                        Answer::Close => {
                            // The writer ends the connection.
                            let _ = answers.send(None);
                        }
                        answer => {
                            let _ = answers.send(encode(id, local, answer));
                        }
                    }
                }));
                // Begun here, so that requests take their places in a log in the order of their arrival however busy the machine is.
                if poll_once(&mut run).await.is_pending() {
                    running.spawn(run);
                }
            }
            while running.try_join_next().is_some() {}
            let missing = decoder.missing().unwrap_or(0);
            decoder.buffer().reserve(missing.clamp(64 * 1024, 4 << 20));
            match read.read_buf(decoder.buffer()).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        // What has arrived is run even if nobody waits for the answer.
        running.detach_all();
    };
    tokio::select! {
        () = writer => {}
        () = reader => {}
    }
}

/// What a future says when it is asked for the first time. It has to be asked again if it is not ready, by whoever runs it then.
async fn poll_once(future: &mut (impl Future<Output = ()> + Unpin)) -> Poll<()> {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

async fn answer<S: Service>(service: &S, faults: &Faults, request: &Frame, peer: SocketAddr) -> Answer {
    let (named, method) = request.meta.request.as_ref().map_or(("", ""), |meta| {
        (meta.service_name.as_str(), meta.method_name.as_str())
    });
    let mut late = None;
    let mut after = None;
    match faults.strike(named, method) {
        None => {}
        Some(Action::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Action::Status(status)) => match service.status(named, method, status) {
            Some(reply) => return Answer::Reply(reply, Bytes::new()),
            None => return Answer::Error(code::EINTERNAL, "fault".into()),
        },
        Some(Action::RpcError(code)) => return Answer::Error(code, "fault".into()),
        Some(Action::LoseRequest) => return Answer::Nothing,
        Some(Action::CloseBefore) => return Answer::Close,
        Some(Action::LoseReply) => after = Some(Answer::Nothing),
        Some(Action::CloseAfter) => after = Some(Answer::Close),
        Some(Action::LateApply(delay)) => late = Some(delay),
    }
    let answer = service.run(request, peer, late).await;
    after.unwrap_or(answer)
}

fn encode(id: i64, local: SocketAddr, answer: Answer) -> Option<(Bytes, Bytes)> {
    let (code, text, payload, data) = match answer {
        Answer::Reply(payload, data) => (0, None, payload, data),
        Answer::Error(code, text) => (
            code,
            Some(format!("[{local}][E{code}]{text}")),
            Vec::new(),
            Bytes::new(),
        ),
        Answer::Nothing | Answer::Close => return None,
    };
    let meta = RpcMeta {
        request: None,
        response: Some(RpcResponseMeta {
            error_code: Some(code),
            error_text: text,
        }),
        compress_type: Some(0),
        correlation_id: Some(id),
        attachment_size: i32::try_from(data.len()).ok().filter(|len| *len > 0),
    };
    let head = encode_head(&meta, &payload, data.len()).ok()?;
    Some((head, data))
}

/// Decodes a request as the real servers do: all required fields have to be there.
///
/// # Errors
/// 1003.
pub fn decode<M: Message + Default>(payload: &Bytes, required: &[u32]) -> Result<M, Answer> {
    let refuse = || {
        let len = payload.len();
        Answer::Error(
            code::EREQUEST,
            format!("Fail to parse request message, CompressType=none, request_size={len}"),
        )
    };
    let present = fields(payload).ok_or_else(refuse)?;
    if required.iter().any(|field| !present.contains(field)) {
        return Err(refuse());
    }
    M::decode(payload.clone()).map_err(|_| refuse())
}

/// Decodes a request of a known type.
///
/// # Errors
/// 1003.
pub fn decode_request<R: Request>(payload: &Bytes) -> Result<R, Answer> {
    decode(payload, R::REQUIRED)
}

/// The numbers of a message's fields.
fn fields(message: &Bytes) -> Option<Vec<u32>> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut rest = message.clone();
    let mut fields = Vec::new();
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest).ok()?;
        fields.push(tag);
        skip_field(wire, tag, &mut rest, DecodeContext::default()).ok()?;
    }
    Some(fields)
}

/// What a server says to a method it does not have.
#[must_use]
pub fn no_method(service: &str, method: &str) -> Answer {
    Answer::Error(code::ENOMETHOD, format!("Fail to find method={service}/{method}"))
}
