//! The hash of what an approver was shown, so that an answer means the question he read.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::approval::HoldView;

/// What of a question moves while it stays the same question.
const MOVING: [&str; 5] = ["facts", "waiting", "request", "opened_at", "expires_at"];

/// 16 hexadecimal digits over what is shown and does not move.
pub(super) fn facts(hold: &HoldView) -> String {
    let mut shown = serde_json::to_value(hold).unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        fields.retain(|name, _| !MOVING.contains(&name.as_str()));
    }
    let digest = Sha256::digest(shown.to_string().as_bytes());
    HEXLOWER.encode(&digest[..8])
}
