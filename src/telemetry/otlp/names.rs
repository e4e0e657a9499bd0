//! Names of attributes, in one place.
//!
//! Those without `exeat.` follow the OpenTelemetry semantic conventions 1.37.0: `server.*`, `http.*`, `error.type`
//! and `service.name` are stable there; `gen_ai.*`, `security_rule.*`, `user.*` and the other `service.*` are in development.
//! `network.policy.*` is in no convention.

/// The conventions that the names above follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// What writes the records.
pub const SERVICE_NAME: &str = "service.name";
/// Its version.
pub const SERVICE_VERSION: &str = "service.version";
/// Which running one of it.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// The destination's host.
pub const SERVER_ADDRESS: &str = "server.address";
/// The destination's port.
pub const SERVER_PORT: &str = "server.port";
/// The method: one that RFC 9110 or RFC 5789 defines, or `_OTHER`.
pub const METHOD: &str = "http.request.method";
/// `allow`, `look`, `block` or `hold`.
pub const DECISION: &str = "network.policy.decision";
/// A reason code.
pub const REASON: &str = "network.policy.reason";
/// Who asked.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// `FILE:LINE` of the rule.
pub const RULE: &str = "security_rule.name";
/// Who answered or took back.
pub const USER: &str = "user.name";
/// What an attempt failed by.
pub const ERROR_TYPE: &str = "error.type";

/// The record's identity, the same in every copy of it.
pub const RECORD_ID: &str = "exeat.record.id";
/// The attempt.
pub const ATTEMPT_ID: &str = "exeat.attempt.id";
