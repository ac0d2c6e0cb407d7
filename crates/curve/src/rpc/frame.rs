//! Frames of baidu_std: a 12-byte header (`PRPC`, body size, meta size, both big-endian), an [`RpcMeta`], the message and
//! an attachment. Defined by brpc's `baidu_rpc_protocol.cpp`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::proto::{
    chunk::{ChunkRequest, chunk_service},
    meta::RpcMeta,
};

/// What every frame starts with.
pub const MAGIC: [u8; 4] = *b"PRPC";
/// Bytes of the header.
pub const HEADER_LEN: usize = 12;
/// The largest body a server takes by default (`max_body_size` of brpc).
pub const MAX_BODY: usize = 64 << 20;
/// More than any meta needs; an error text is the longest thing in it.
pub const MAX_META: usize = 64 << 10;

/// Bytes that are not a frame. All of them end the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer speaks something else.
    #[error("not a baidu_std frame")]
    Magic,
    /// The body is larger than allowed.
    #[error("body of {len} bytes, at most {max} are allowed")]
    BodyTooLarge {
        /// Announced.
        len: usize,
        /// Allowed.
        max: usize,
    },
    /// The meta is larger than its body, or than any meta needs to be.
    #[error("meta of {meta} bytes in a body of {body}")]
    MetaSize {
        /// Announced size of the meta.
        meta: usize,
        /// Announced size of the body.
        body: usize,
    },
    /// The meta does not parse.
    #[error("meta does not parse")]
    Meta,
    /// The meta names no call that it belongs to.
    #[error("no correlation id")]
    NoCorrelationId,
    /// The attachment is negative, or larger than what follows the meta.
    #[error("attachment of {attachment} bytes where {rest} follow the meta")]
    AttachmentSize {
        /// Announced.
        attachment: i32,
        /// What there is.
        rest: usize,
    },
    /// A compressed message.
    #[error("compression {0}")]
    Compressed(i32),
}

/// One message with its envelope. The parts are slices of the receive buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The envelope.
    pub meta: RpcMeta,
    /// The protobuf message.
    pub payload: Bytes,
    /// Raw bytes behind the message.
    pub attachment: Bytes,
}

impl Frame {
    /// The call this belongs to.
    #[must_use]
    pub fn correlation_id(&self) -> i64 {
        self.meta.correlation_id.unwrap_or_default()
    }
}

/// Cuts a stream of bytes into frames. Never asks for memory because of an announced length: whoever reads decides,
/// with [`Decoder::missing`].
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max_body: usize,
}

impl Decoder {
    /// A decoder that refuses bodies of more than `max_body` bytes.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_body,
        }
    }

    /// Where received bytes are put.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// How many bytes of the current frame have not arrived yet, once its header has.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        let body = self.header().ok()??.0;
        Some((HEADER_LEN + body).saturating_sub(self.buffer.len()))
    }

    fn header(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let known = self.buffer.len().min(MAGIC.len());
        if self.buffer[..known] != MAGIC[..known] {
            return Err(FrameError::Magic);
        }
        if self.buffer.len() < HEADER_LEN {
            return Ok(None);
        }
        let mut sizes = &self.buffer[MAGIC.len()..HEADER_LEN];
        let (body, meta) = (sizes.get_u32() as usize, sizes.get_u32() as usize);
        if body > self.max_body {
            return Err(FrameError::BodyTooLarge {
                len: body,
                max: self.max_body,
            });
        }
        if meta > body || meta > MAX_META {
            return Err(FrameError::MetaSize { meta, body });
        }
        Ok(Some((body, meta)))
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// The stream cannot be read on after an error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((body, meta_len)) = self.header()? else {
            return Ok(None);
        };
        if self.buffer.len() < HEADER_LEN + body {
            return Ok(None);
        }
        let mut rest = self.buffer.split_to(HEADER_LEN + body).freeze();
        rest.advance(HEADER_LEN);
        let meta = RpcMeta::decode(rest.split_to(meta_len)).map_err(|_| FrameError::Meta)?;
        if meta.correlation_id.is_none() {
            return Err(FrameError::NoCorrelationId);
        }
        if let Some(kind) = meta.compress_type.filter(|kind| *kind != 0) {
            return Err(FrameError::Compressed(kind));
        }
        let announced = meta.attachment_size.unwrap_or(0);
        let attachment = usize::try_from(announced)
            .ok()
            .filter(|len| *len <= rest.len())
            .ok_or(FrameError::AttachmentSize {
                attachment: announced,
                rest: rest.len(),
            })?;
        let attachment = rest.split_off(rest.len() - attachment);
        Ok(Some(Frame {
            meta,
            payload: rest,
            attachment,
        }))
    }
}

/// Why a frame must not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// More than a server takes.
    #[error("body of {0} bytes")]
    TooLarge(usize),
    /// A WriteChunk whose attachment is not as long as its `size`: every replica would abort on it, and again whenever it
    /// replays its log.
    #[error("WriteChunk of {size:?} bytes with an attachment of {attachment}")]
    WriteSize {
        /// The request's size.
        size: Option<u32>,
        /// The attachment's.
        attachment: usize,
    },
}

/// The bytes of a frame up to its attachment, which follows on the wire as it is. The last step before the socket, so the
/// last look at a WriteChunk happens here, on the bytes that go out.
///
/// # Errors
/// What a server must never be sent.
pub fn encode_head(meta: &RpcMeta, payload: &[u8], attachment: usize) -> Result<Bytes, Unsendable> {
    if let Some(request) = &meta.request {
        check_write(&request.service_name, &request.method_name, payload, attachment)?;
    }
    let meta_len = meta.encoded_len();
    let body = meta_len + payload.len() + attachment;
    let header_body = u32::try_from(body)
        .ok()
        .filter(|_| body <= MAX_BODY && meta_len <= MAX_META)
        .ok_or(Unsendable::TooLarge(body))?;
    let mut head = BytesMut::with_capacity(HEADER_LEN + meta_len + payload.len());
    head.put_slice(&MAGIC);
    head.put_u32(header_body);
    head.put_u32(u32::try_from(meta_len).map_err(|_| Unsendable::TooLarge(body))?);
    meta.encode_raw(&mut head);
    head.put_slice(payload);
    Ok(head.freeze())
}

fn check_write(service: &str, method: &str, payload: &[u8], attachment: usize) -> Result<(), Unsendable> {
    if method != chunk_service::WRITE_CHUNK || service != chunk_service::NAME {
        return Ok(());
    }
    let size = ChunkRequest::decode(payload)
        .ok()
        .and_then(|request| request.size);
    if size.is_some_and(|size| size as usize == attachment) {
        return Ok(());
    }
    Err(Unsendable::WriteSize { size, attachment })
}

#[cfg(test)]
mod tests;
