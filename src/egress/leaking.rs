//! The leak guard where requests leave: URL, fields and the beginning of the body are looked at before the decision, the rest as it passes.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, HOST, HeaderMap, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderValue, Request};
use http_body::Body as _;
use hyper::body::Incoming;
use zeroize::Zeroizing;

use super::claim::{Claim, Unready};
use super::content::{Content, Guard};
use super::gate::Gate;
use super::upstream::Upstream;
use crate::policy::attempt::{Seen, Sight};
use crate::policy::leaks::{ENCODED, Encoded, LeakFound, LeakPlace, Leaks};
use crate::policy::rule::RuleRef;
use crate::secrets::scan::{Finds, Scan, Scanner};

/// What was found as it was about to leave, and where that is forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// `[leaks]` of the agent's file.
    pub place: RuleRef,
    /// What was found.
    pub found: LeakFound,
}

impl Upstream {
    /// Looks at a request before its claim is judged, where the agent's file has a leak guard: what is found is a part of what is judged.
    ///
    /// It waits for the beginning of the body in the agent's seat.
    pub async fn look(&self, gate: &Gate, mut claim: Claim, request: Request<Incoming>) -> (Claim, Request<Content>) {
        let (parts, body) = request.into_parts();
        let (Some(leaks), Sight::Seen(seen)) = (gate.leaks(&mut claim), claim.sight.clone()) else {
            return (claim, Request::from_parts(parts, body.into()));
        };
        let scanner = self.settings.secrets.scanner(&leaks).await;
        self.settings.secrets.note(&leaks.place, scanner.as_ref().map(|_| ()).map_err(|why| *why));
        let scanner = match scanner {
            Ok(scanner) => scanner,
            Err(why) => {
                claim.unready = Some(Unready { place: leaks.place.clone(), why });
                return (claim, Request::from_parts(parts, body.into()));
            }
        };
        let (mut found, mut content) = (in_the_head(&scanner, &parts), Content::from(body));
        if coded(&parts.headers) && leaks.encoded == Encoded::Found && !content.is_end_stream() {
            found.push((Arc::from(ENCODED), LeakPlace::Body));
        } else {
            let finds;
            (content, finds) = self.begin(content, &scanner, (&leaks, &found)).await;
            found.extend(finds.into_iter().map(|find| (find, LeakPlace::Body)));
        }
        if let Some(leak) = told(found) {
            claim.sight = Sight::Seen(Arc::new(Seen { leak: Some(leak), ..seen.as_ref().clone() }));
        }
        (claim, Request::from_parts(parts, content))
    }

    async fn begin(
        &self,
        content: Content,
        scanner: &Arc<Scanner>,
        (leaks, found): (&Leaks, &[(Arc<str>, LeakPlace)]),
    ) -> (Content, Finds) {
        let guard = Guard { scan: Scan::new(Arc::clone(scanner)), place: leaks.place.clone() };
        let (mut content, finds) = Content::begun(content.into_inner(), guard, leaks.scan).await;
        // Whoever lets it pass lets it pass wherever in the request it stands.
        content.excuse(&found.iter().map(|(rule, _)| Arc::clone(rule)).collect::<Finds>());
        (content, finds)
    }
}

fn in_the_head(scanner: &Arc<Scanner>, parts: &Parts) -> Vec<(Arc<str>, LeakPlace)> {
    let url = parts.uri.path_and_query().map(|target| scanner.look_at_url(target.as_str())).unwrap_or_default();
    let fields = scanner.look(&fields(&parts.headers));
    let in_url = url.into_iter().map(|find| (find, LeakPlace::Url));
    in_url.chain(fields.into_iter().map(|find| (find, LeakPlace::Header))).collect()
}

/// Every rule once, where it spoke first.
fn told(found: Vec<(Arc<str>, LeakPlace)>) -> Option<LeakFound> {
    let place = found.first()?.1;
    let mut rules = Finds::new();
    for (rule, _) in found {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Some(LeakFound { rules: rules.into(), place })
}

/// Fields as a text, but for those that say where to and who exeat's own agent is.
pub(super) fn fields(headers: &HeaderMap) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::new());
    for (name, value) in headers.iter().filter(|(name, _)| ![HOST, PROXY_AUTHORIZATION].contains(name)) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
            text.extend_from_slice(part);
        }
    }
    text
}

/// Whether a body is in a coding that hides what it says.
fn coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value: &HeaderValue| value.as_bytes().split(|byte| *byte == b','));
    codings.into_iter().map(<[u8]>::trim_ascii).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}
