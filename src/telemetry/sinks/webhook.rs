//! Records in batches by HTTP POST, signed as [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks) say.
//!
//! Only an answer that finds fault with the content refuses records; one about the address, the signature or the receiver's state
//! says nothing of them, and they wait.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook as Signer};

use super::stdout::line;
use super::{Deliver, NotDelivered};
use crate::journal::Entry;
use crate::policy::address::Guard;
use crate::private::exposed;
use crate::telemetry::dial::{BackEnd, Dialer, Found, NoRoots, NotABackEnd};
use crate::telemetry::post::post;

/// Time for connection, request and answer.
const WITHIN: Duration = Duration::from_secs(10);

/// A longer file is no secret.
const LONGEST: u64 = 4096;

/// Bytes of a secret: Standard Webhooks wants 24 to 64.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;

/// Posts batches.
pub struct Webhook {
    to: BackEnd,
    dialer: Dialer,
    signer: Signer,
}

/// Why batches cannot be posted.
#[derive(Debug, thiserror::Error)]
pub enum NotAWebhook {
    /// The URL names no receiver.
    #[error("url: {0}")]
    Url(#[from] NotABackEnd),
    /// The receiver's certificate could not be verified.
    #[error("ca: {0}")]
    Roots(#[from] NoRoots),
    /// The file of the secret cannot be used. The secret is not shown.
    #[error("secret_file: {}: {why}", path.display())]
    Secret {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what mends it.
        why: String,
    },
}

impl Webhook {
    /// Posts to `url`, signed with the secret in a file that only its owner may read. `ca` is trusted beside the system's authorities.
    pub fn new(url: &str, secret_file: &Path, ca: Option<&Path>) -> Result<Self, NotAWebhook> {
        let to = BackEnd::parse(url)?;
        let dialer = Dialer::new(&to, ca)?;
        let signer = secret(secret_file).map_err(|why| NotAWebhook::Secret { path: secret_file.to_owned(), why })?;
        Ok(Self { to, dialer, signer })
    }

    /// Makes the receiver a place that no agent reaches.
    pub fn close_to_agents(&self, guard: &mut Guard) {
        self.to.close_to_agents(guard);
    }

    /// One that tells where it dials.
    #[must_use]
    pub fn telling(self, found: &Found) -> Self {
        Self { dialer: self.dialer.telling(found), ..self }
    }

    fn headers(&self, content: &[u8], now: Timestamp) -> Option<HeaderMap> {
        // Of the content, so that the same batch has the same id however often it comes.
        let id = format!("exeat_{}", &HEXLOWER.encode(&Sha256::digest(content))[..32]);
        let signature = self.signer.sign(&id, now.as_second(), content).ok()?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let named =
            [(HEADER_WEBHOOK_ID, id), (HEADER_WEBHOOK_TIMESTAMP, now.as_second().to_string()), (HEADER_WEBHOOK_SIGNATURE, signature)];
        for (name, value) in named {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).ok()?);
        }
        Some(headers)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhook").field(&self.to).finish()
    }
}

impl Deliver for Webhook {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        let content = Bytes::from(content(batch));
        let headers = self.headers(&content, Timestamp::now()).ok_or_else(|| NotDelivered::later("the batch cannot be signed"))?;
        match post(&self.dialer, &self.to, &self.to.path, (headers, content), WITHIN).await {
            Ok(answered) => judged(answered.status, answered.retry_after),
            Err(error) => Err(NotDelivered::later(error.to_string())),
        }
    }
}

/// `{"type":"exeat.records","timestamp":…,"records":[…]}`: the time is that of the last record.
fn content(batch: &[Entry]) -> String {
    let at = batch.last().map_or(Timestamp::UNIX_EPOCH, |entry| entry.line.at);
    let records: Vec<String> = batch.iter().map(line).collect();
    format!("{{\"type\":\"exeat.records\",\"timestamp\":\"{at:.6}\",\"records\":[{}]}}", records.join(","))
}

fn judged(status: StatusCode, after: Option<Duration>) -> Result<(), NotDelivered> {
    let why = format!("the receiver answered {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(NotDelivered::Never { which: Vec::new(), why })
        }
        _ => Err(NotDelivered::Later { why, after }),
    }
}

/// `whsec_` and base64, or base64 alone.
fn secret(path: &Path) -> Result<Signer, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let data = file.metadata().map_err(|error| error.to_string())?;
    if !data.is_file() {
        return Err("is no file; name one that holds whsec_ and base64".into());
    }
    if exposed(&data).is_some() {
        return Err(format!("can be read by others than its owner; chmod 600 {}", path.display()));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let text = text.trim();
    let key = data_encoding::BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text).as_bytes());
    let key = key.ok().filter(|key| SECRET.contains(&key.len()));
    let key = key.ok_or("holds no secret; write whsec_ and the base64 of 24 to 64 random bytes")?;
    Signer::from_bytes(key).map_err(|_| "holds no secret that can sign".into())
}

#[cfg(test)]
mod tests;
