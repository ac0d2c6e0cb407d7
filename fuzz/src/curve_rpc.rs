//! A stream of baidu_std frames, as a CurveBS client reads it, and the messages in them.

use curve::proto::chunk::{ChunkRequest, ChunkResponse, GetChunkInfoResponse, GetLeaderResponse};
use curve::proto::namespace::{
    FileInfoResponse, FileListResponse, IncreaseFileEpochResponse, OpenFileResponse, SegmentResponse,
};
use curve::proto::topology::{ChunkServersResponse, CopySetServersResponse, LogicalPoolsResponse};
use curve::rpc::Decoder;
use curve::rpc::frame::{HEADER_LEN, MAX_BODY, encode_head};
use prost::Message;

use crate::memory::peak;
use crate::take;

/// Memory that a byte of input may cost: an empty message in a list takes two bytes on the wire.
const PER_BYTE: usize = 400;
const FIXED: usize = 16 * 1024;

/// Runs one input: how many bytes arrive at a time, then the stream.
pub fn run(mut data: &[u8]) {
    let Some([step]) = take(&mut data) else { return };
    let ((), most) = peak(|| stream(data, usize::from(step) + 1));
    assert!(
        most <= FIXED + data.len() * PER_BYTE,
        "{most} bytes for {} of input",
        data.len()
    );
}

fn stream(data: &[u8], step: usize) {
    let mut decoder = Decoder::new(MAX_BODY);
    for piece in data.chunks(step) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            let missing = decoder.missing();
            match decoder.next_frame() {
                Err(_) => return,
                Ok(None) => {
                    assert_ne!(missing, Some(0), "a whole frame is not seen");
                    break;
                }
                Ok(Some(frame)) => {
                    assert_eq!(missing, Some(0));
                    again(&frame);
                    messages(&frame.payload);
                }
            }
        }
    }
}

/// What was read is written, and reads the same.
fn again(frame: &curve::rpc::Frame) {
    let Ok(head) = encode_head(&frame.meta, &frame.payload, frame.attachment.len()) else {
        return;
    };
    assert!(head.len() >= HEADER_LEN);
    let mut decoder = Decoder::new(MAX_BODY);
    decoder.buffer().extend_from_slice(&head);
    decoder.buffer().extend_from_slice(&frame.attachment);
    assert_eq!(decoder.next_frame().as_ref(), Ok(&Some(frame.clone())));
}

fn messages(payload: &[u8]) {
    fn one<M: Message + Default + PartialEq>(payload: &[u8]) {
        if let Ok(message) = M::decode(payload) {
            let bytes = message.encode_to_vec();
            assert!(
                M::decode(&bytes[..]).as_ref() == Ok(&message),
                "a message does not survive"
            );
        }
    }
    one::<ChunkRequest>(payload);
    one::<ChunkResponse>(payload);
    one::<GetChunkInfoResponse>(payload);
    one::<GetLeaderResponse>(payload);
    one::<FileInfoResponse>(payload);
    one::<FileListResponse>(payload);
    one::<OpenFileResponse>(payload);
    one::<SegmentResponse>(payload);
    one::<IncreaseFileEpochResponse>(payload);
    one::<CopySetServersResponse>(payload);
    one::<LogicalPoolsResponse>(payload);
    one::<ChunkServersResponse>(payload);
}
