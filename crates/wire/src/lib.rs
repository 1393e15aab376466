#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod api;
pub mod api_versions;
mod body;
pub mod error_code;
pub mod fetch_rope;
pub mod frame;
pub mod messages;
pub mod request;
pub mod response;
mod shape;

pub use api::{ADVERTISED, ApiKey, ApiRange};
pub use error_code::ErrorCode;
pub use fetch_rope::FetchAnswer;
pub use frame::{FrameLimits, FrameRefusal, Verdict};
pub use request::{
    Malformed, Measured, Refusal, Request, RequestBody, RequestHeader, decode, encode_request,
    measure,
};
pub use response::{
    DecodeError, EncodeError, ResponseBody, decode_response, encode, response_correlation_id,
};
