//! What an answer of the collector means for what was sent.
//!
//! Only an answer about the data itself gives records up. The protocol calls more failures permanent, such as 401 or 404: those are about
//! who asks or where, a person can mend them, and until then the records stay in the journal.

use std::time::Duration;

use http::StatusCode;
use prost::Message;
use tonic::{Code, Status};

use crate::telemetry::post::LONGEST_WAIT;

/// Of the words of a collector no more is passed on.
const LONGEST_WORDS: usize = 200;

/// The data was taken, or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many items the collector refused for good; it does not say which.
    pub(super) rejected: u64,
    /// Its words.
    pub(super) words: String,
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(super) struct Refused {
    /// What is to be done.
    pub(super) then: Then,
    /// What was wrong.
    pub(super) why: String,
}

/// What is to be done with data that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Sent again, after the wait the collector asked for.
    Again(Option<Duration>),
    /// Sent in smaller parts; a single item is sent again.
    Smaller,
    /// Given up, what is wrong with it being in the data.
    Never,
}

impl Refused {
    /// To be sent again at our own pace.
    pub(super) fn again(why: impl Into<String>) -> Self {
        Self { then: Then::Again(None), why: why.into() }
    }

    /// What an HTTP status other than success means.
    pub(super) fn of_http(status: StatusCode, retry_after: Option<Duration>) -> Self {
        let then = match status.as_u16() {
            400 | 422 => Then::Never,
            413 => Then::Smaller,
            _ => Then::Again(retry_after),
        };
        Self { then, why: format!("the collector answered {}", status.as_u16()) }
    }

    /// What a gRPC status other than OK means.
    pub(super) fn of_grpc(status: &Status) -> Self {
        let wait = retry_delay(status.details());
        let then = match status.code() {
            Code::InvalidArgument => Then::Never,
            // Without a delay it is no passing state: nearly always the size of the message.
            Code::ResourceExhausted if wait.is_none() => Then::Smaller,
            Code::Ok | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::NotFound | Code::AlreadyExists => Then::Again(wait),
            Code::PermissionDenied | Code::ResourceExhausted | Code::FailedPrecondition | Code::Aborted => Then::Again(wait),
            Code::OutOfRange | Code::Unimplemented | Code::Internal | Code::Unavailable | Code::DataLoss => Then::Again(wait),
            Code::Unauthenticated => Then::Again(wait),
        };
        Self { then, why: format!("the collector answered {:?}: {}", status.code(), words(status.message())) }
    }
}

/// A collector's words, fit for a log: one line of printable characters, cut short.
pub(super) fn words(text: &str) -> String {
    text.chars().take(LONGEST_WORDS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let wait =
        Duration::from_secs(u64::try_from(delay.seconds).unwrap_or(0)) + Duration::from_nanos(u64::try_from(delay.nanos).unwrap_or(0));
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_delay(code: Code, seconds: i64, nanos: i32) -> Status {
        let value = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) }.encode_to_vec();
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![0xff] };
        let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value };
        Status::with_details(code, "full", RpcStatus { details: vec![other, info] }.encode_to_vec().into())
    }

    #[test]
    fn only_what_is_wrong_with_the_data_gives_it_up() {
        let second = Duration::from_secs(1);
        let http = [
            (429, Then::Again(Some(second))),
            (502, Then::Again(Some(second))),
            (503, Then::Again(Some(second))),
            (504, Then::Again(Some(second))),
            (500, Then::Again(Some(second))),
            (401, Then::Again(Some(second))),
            (404, Then::Again(Some(second))),
            (307, Then::Again(Some(second))),
            (400, Then::Never),
            (422, Then::Never),
            (413, Then::Smaller),
        ];
        for (status, then) in http {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(Refused::of_http(status, Some(second)).then, then, "{status}");
        }
        for code in (1..=16).map(Code::from_i32) {
            let then = if code == Code::InvalidArgument {
                Then::Never
            } else if code == Code::ResourceExhausted {
                Then::Smaller
            } else {
                Then::Again(None)
            };
            assert_eq!(Refused::of_grpc(&Status::new(code, "x")).then, then, "{code:?}");
        }
    }

    #[test]
    fn a_collector_says_how_long_it_wants_to_be_left_alone() {
        let table = [
            (with_delay(Code::Unavailable, 2, 500_000_000), Some(2500)),
            (with_delay(Code::ResourceExhausted, 7, 0), Some(7000)),
            (with_delay(Code::ResourceExhausted, i64::MAX, 0), Some(300_000)),
            (with_delay(Code::ResourceExhausted, -1, -1), Some(0)),
            (Status::with_details(Code::Unavailable, "", b"\xff\xff garbage".as_slice().into()), None),
        ];
        for (status, wait) in table {
            assert_eq!(Refused::of_grpc(&status).then, Then::Again(wait.map(Duration::from_millis)), "{status:?}");
        }
    }

    #[test]
    fn its_words_are_one_short_line() {
        let refused = Refused::of_grpc(&Status::internal(format!("a\n\u{1b}[2J{}", "b".repeat(900))));
        assert!(refused.why.starts_with("the collector answered Internal: a  [2Jbbb"), "{}", refused.why);
        assert!(!refused.why.contains('\n') && refused.why.len() < 300, "{}", refused.why);
    }
}
