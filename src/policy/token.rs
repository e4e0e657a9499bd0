//! The digest an agent's token is known by. Tokens are 256 random bits, so one fast hash is enough.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How an approver's token begins.
pub const APPROVER: &str = "exeat-approver_";

/// How the token of a session of the page begins.
pub const SESSION: &str = "exeat-session_";

/// How the code of a log-in link begins.
pub const LOG_IN: &str = "exeat-login_";

/// Whether it looks like what opens page and API, which identifies no agent.
pub fn is_a_persons(token: &str) -> bool {
    [APPROVER, SESSION, LOG_IN].iter().any(|prefix| token.starts_with(prefix))
}

/// SHA-256 of a token; written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenDigest([u8; 32]);

/// The text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's digest is `sha256:` and 64 hexadecimal digits")]
pub struct NotADigest;

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii()).ok_or(NotADigest)?;
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let high = char::from(digits[0]).to_digit(16).ok_or(NotADigest)?;
            let low = char::from(digits[1]).to_digit(16).ok_or(NotADigest)?;
            *byte = u8::try_from(high << 4 | low).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for TokenDigest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::parse(&text)
    }
}

impl From<TokenDigest> for String {
    fn from(digest: TokenDigest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_written() {
        let digest = TokenDigest::of("exeat_x");
        assert_eq!(TokenDigest::parse(&digest.to_string()), Ok(digest));
    }

    #[test]
    fn anything_else_is_no_digest() {
        let short = "sha256:00";
        let odd = format!("sha256:{}", "g".repeat(64));
        let sign = format!("sha256:+{}", "0".repeat(63));
        for text in ["", "00", short, &odd, &sign] {
            assert_eq!(TokenDigest::parse(text), Err(NotADigest), "{text}");
        }
    }
}
