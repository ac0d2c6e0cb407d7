//! `blkin_trace_info`: the tracing ids that ops and their replies carry (Ceph `src/common/zipkin_trace.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// Trace ids; all zero when nothing is traced, which is the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlkinTrace {
    /// The trace.
    pub trace_id: i64,
    /// The span.
    pub span_id: i64,
    /// The span around it.
    pub parent_span_id: i64,
}

impl Decode for BlkinTrace {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            trace_id: r.i64()?,
            span_id: r.i64()?,
            parent_span_id: r.i64()?,
        })
    }
}

impl Encode for BlkinTrace {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_i64_le(self.trace_id);
        out.put_i64_le(self.span_id);
        out.put_i64_le(self.parent_span_id);
    }
}
