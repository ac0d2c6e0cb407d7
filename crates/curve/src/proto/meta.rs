//! The envelope of every call (brpc `baidu_rpc_meta.proto`).

/// `RpcMeta`: what stands between the header and the message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcMeta {
    /// Present in requests.
    #[prost(message, optional, tag = "1")]
    pub request: Option<RpcRequestMeta>,
    /// Present in responses.
    #[prost(message, optional, tag = "2")]
    pub response: Option<RpcResponseMeta>,
    /// 0: not compressed. CurveBS never compresses.
    #[prost(int32, optional, tag = "3")]
    pub compress_type: Option<i32>,
    /// Chosen by the client, echoed by the server.
    #[prost(int64, optional, tag = "4")]
    pub correlation_id: Option<i64>,
    /// Bytes behind the message that belong to it. Absent without an attachment.
    #[prost(int32, optional, tag = "5")]
    pub attachment_size: Option<i32>,
}

/// `RpcRequestMeta`: which method is called.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcRequestMeta {
    /// The full name, with package.
    #[prost(string, required, tag = "1")]
    pub service_name: String,
    /// The method's name.
    #[prost(string, required, tag = "2")]
    pub method_name: String,
    /// Appears in the server's log.
    #[prost(int64, optional, tag = "3")]
    pub log_id: Option<i64>,
}

/// `RpcResponseMeta`: whether the call as such went well.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcResponseMeta {
    /// 0, a brpc code, or an errno of the server's system. No message follows where it is not 0.
    #[prost(int32, optional, tag = "1")]
    pub error_code: Option<i32>,
    /// For people.
    #[prost(string, optional, tag = "2")]
    pub error_text: Option<String>,
}
