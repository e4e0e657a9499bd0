//! Credentials of the operator: had after the decision and before anything is dialled, put in last, in place of the agent's own.

use std::sync::Arc;

use data_encoding::BASE64;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE};
use zeroize::Zeroizing;

use super::claim::Unready;
use super::refusal::Cause;
use super::upstream::Way;
use crate::policy::attempt::Attempt;
use crate::policy::decide::Grant;
use crate::policy::inject::{Credential, Inject, Injection};
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;
use crate::secrets::mask::Masker;
use crate::secrets::{Secret, Secrets, Unavailable};
use crate::tls::authority::Offer;
use crate::tls::identity::Identity;

/// Fields that prove who sends them, spelled with hyphens. Of a host that exeat has a credential for, an agent's own are taken out.
///
/// RFC 9110 section 11.6, RFC 6265, and as APIs of clouds, forges, models, monitors and gateways document theirs.
const CREDENTIALS: [&str; 46] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "cookie2",
    "api-key",
    "apikey",
    "x-api-key",
    "x-apikey",
    "x-api-token",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-auth-email",
    "x-authorization",
    "x-access-token",
    "x-session-token",
    "x-token",
    "x-original-authorization",
    "x-forwarded-authorization",
    "x-forwarded-access-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
    "x-ms-authorization-auxiliary",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "x-rapidapi-key",
    "x-github-token",
    "x-gitlab-token",
    "private-token",
    "job-token",
    "deploy-token",
    "x-atlassian-token",
    "x-figma-token",
    "x-shopify-access-token",
    "x-vault-token",
    "x-consul-token",
    "x-nomad-token",
    "x-honeycomb-team",
    "dd-api-key",
    "dd-application-key",
    "circle-token",
    "travis-token",
    "x-postmark-server-token",
    "x-subscription-token",
    "x-goog-authenticated-user-jwt",
];

/// A field grows by so much at most, as the agent says how often its placeholder stands there.
const GROWS_MOST: usize = 128 << 10;

/// What is put into one request. Nothing where exeat has no credential for its destination.
#[derive(Debug, Default)]
pub(super) struct Injected {
    /// Fields that are exeat's to fill; the agent's own are taken out. `None`: nothing is taken out.
    fields: Option<Vec<Arc<str>>>,
    puts: Vec<Put>,
    /// What proves exeat to the origin.
    pub(super) identity: Option<Identity>,
    /// What of the answer is masked.
    pub(super) masker: Option<Arc<Masker>>,
    /// What says so.
    masking: Option<RuleRef>,
}

#[derive(Debug)]
struct Put {
    inject: Arc<Inject>,
    name: HeaderName,
    secret: Arc<Secret>,
}

impl Injected {
    /// Gets what the request needs. No lock is held meanwhile.
    pub(super) async fn had(secrets: &Secrets, injection: Option<&Injection>) -> Result<Self, Unready> {
        let Some(Injection { headers, apply }) = injection else { return Ok(Self::default()) };
        let mut injected = Self { fields: Some(headers.clone()), ..Self::default() };
        for inject in apply {
            let added = injected.add(secrets, inject).await;
            noted(secrets, &inject.place, added)?;
        }
        let masked = injected.puts.iter().filter(|put| put.inject.mask);
        let masked: Vec<_> = masked.map(|put| (Arc::clone(&put.inject), Arc::clone(&put.secret))).collect();
        if let Some((first, _)) = masked.first() {
            injected.masking = Some(first.place.clone());
            injected.masker = Some(noted(secrets, &first.place, secrets.masker(&masked))?);
        }
        Ok(injected)
    }

    async fn add(&mut self, secrets: &Secrets, inject: &Arc<Inject>) -> Result<(), Unavailable> {
        match &inject.credential {
            Credential::Header { name, prefix, value, placeholder: _ } => {
                let secret = secrets.value(value).await?;
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_none| Unavailable::NotAField)?;
                // Whether it fits is known before anything is dialled.
                whole(prefix, &secret)?;
                self.puts.push(Put { inject: Arc::clone(inject), name, secret });
            }
            Credential::Certificate { chain, key } => {
                let (chain, key) = (secrets.file(chain).await?, secrets.file(key).await?);
                self.identity = Some(Identity::read(chain.bytes(), key.bytes()).ok_or(Unavailable::NoCertificate)?);
            }
        }
        Ok(())
    }

    /// What a way out is dialled for, with what proves exeat there.
    pub(super) fn way<'a>(&'a self, grant: &'a Grant, attempt: &'a Attempt, offer: Option<Offer>) -> Way<'a> {
        Way { grant, attempt, offer, identity: self.identity.as_ref() }
    }

    /// Why no socket is opened under it: what passes in one is not read, and so not masked.
    pub(super) fn no_socket(&self) -> Option<(Reason, Cause)> {
        let because = "what exeat puts in here is masked in answers, and bytes of a WebSocket are not read";
        let place = self.masking.clone();
        place.map(|rule| (Reason::Blocked, Cause::Rule { rule, because: Some(because.into()) }))
    }

    /// Whether an agent's own credentials are taken out.
    pub(super) fn strips(&self) -> bool {
        self.fields.is_some()
    }

    /// Takes the agent's own credentials out, and puts exeat's in: a field that it makes whole, or the part of the agent's field that stands for it.
    pub(super) fn put_in(&self, headers: &mut HeaderMap) {
        let Some(fields) = &self.fields else { return };
        let filled: Vec<(HeaderName, HeaderValue)> =
            self.puts.iter().filter_map(|put| Some((put.name.clone(), put.value(headers)?))).collect();
        let own: Vec<HeaderName> = headers.keys().filter(|name| is_credential(name, fields)).cloned().collect();
        for name in own {
            headers.remove(name);
        }
        for (name, mut value) in filled {
            // Kept out of HPACK's tables (RFC 7541 section 7.1.3).
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if self.masker.is_some() {
            // A value in a coding, or in two answers a part each, could not be seen.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
    }
}

impl Put {
    /// What the field is to say; `None` where the agent's own has no place for it.
    fn value(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let Credential::Header { name: _, prefix, value: _, placeholder } = &self.inject.credential else { return None };
        let Some(placeholder) = placeholder else { return whole(prefix, &self.secret).ok() };
        let own = headers.get_all(&self.name).iter().find_map(|own| filled(own.as_bytes(), placeholder.as_bytes(), self.secret.bytes()));
        own.and_then(|own| HeaderValue::from_bytes(&own).ok())
    }
}

/// What an `[[inject]]` came to, also to be told to whoever runs exeat.
fn noted<T>(secrets: &Secrets, place: &RuleRef, had: Result<T, Unavailable>) -> Result<T, Unready> {
    secrets.note(place, had.as_ref().map(|_| ()).map_err(|why| *why));
    had.map_err(|why| Unready { place: place.clone(), why })
}

/// The whole of a field. No character of it may be a control's (RFC 9110 section 5.5).
fn whole(prefix: &str, secret: &Secret) -> Result<HeaderValue, Unavailable> {
    let bytes = Zeroizing::new([prefix.as_bytes(), secret.bytes()].concat());
    let clean = !bytes.iter().any(u8::is_ascii_control);
    HeaderValue::from_bytes(&bytes).ok().filter(|_| clean).ok_or(Unavailable::NotAField)
}

/// The field with the secret where the placeholder stands, also within Basic credentials (RFC 7617).
fn filled(own: &[u8], placeholder: &[u8], secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if let Some(replaced) = replaced(own, placeholder, secret) {
        return Some(replaced);
    }
    let (scheme, coded) = own.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = Zeroizing::new(BASE64.decode(coded.trim_ascii()).ok()?);
    let replaced = replaced(&pair, placeholder, secret)?;
    Some(Zeroizing::new([scheme, Zeroizing::new(BASE64.encode(&replaced)).as_bytes()].concat()))
}

fn replaced(text: &[u8], placeholder: &[u8], secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (mut out, mut rest, mut any) = (Zeroizing::new(Vec::with_capacity(text.len() + secret.len())), text, false);
    while let Some(at) = rest.windows(placeholder.len()).position(|window| window == placeholder).filter(|_| !placeholder.is_empty()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(secret);
        rest = &rest[at + placeholder.len()..];
        if out.len() > text.len() + GROWS_MOST {
            return None;
        }
        any = true;
    }
    out.extend_from_slice(rest);
    any.then_some(out)
}

/// CGI makes one name of `-` and `_` (RFC 3875 section 4.1.18), so that each spelling may be what a server reads.
fn is_credential(name: &HeaderName, fields: &[Arc<str>]) -> bool {
    let name = name.as_str().replace('_', "-");
    CREDENTIALS.contains(&name.as_str()) || fields.iter().any(|field| field.replace('_', "-").eq_ignore_ascii_case(&name))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
