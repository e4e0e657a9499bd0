//! Proxy credentials: `Basic` with an agent's name and its token (RFC 7617). The token goes no further than its digest.

use data_encoding::BASE64;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;

use crate::policy::attempt::Offered;
use crate::policy::token::{TokenDigest, is_a_persons};

/// Longer than any credential of ours.
const LONGEST: usize = 1024;

/// What a head offers. Two fields, another scheme or anything unreadable is garbled, which is never nothing.
pub(super) fn offered(headers: &HeaderMap) -> Offered {
    let mut fields = headers.get_all(PROXY_AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Offered::Nothing,
        (Some(field), None) => basic(field.as_bytes()).unwrap_or(Offered::Garbled),
        (Some(_), Some(_)) => Offered::Garbled,
    }
}

fn basic(field: &[u8]) -> Option<Offered> {
    let (scheme, encoded) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || encoded.len() > LONGEST {
        return None;
    }
    let plain = String::from_utf8(BASE64.decode(encoded.trim_ascii()).ok()?).ok()?;
    let (agent, token) = plain.split_once(':').filter(|(_, token)| !is_a_persons(token))?;
    Some(Offered::Token { agent: agent.to_owned(), digest: TokenDigest::of(token) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_one_readable_basic_field_is_a_token() {
        let token = Offered::Token { agent: "coder".to_owned(), digest: TokenDigest::of("exeat_1:2") };
        let good = format!("Basic {}", BASE64.encode(b"coder:exeat_1:2"));
        let persons = format!("Basic {}", BASE64.encode(b"coder:exeat-approver_1"));
        let table: [(&[&str], Offered); 9] = [
            (&[], Offered::Nothing),
            (&[&good], token.clone()),
            (&[&good.replace("Basic", "bASIC")], token),
            (&[&good, &good], Offered::Garbled),
            (&["Bearer x"], Offered::Garbled),
            (&["Basic"], Offered::Garbled),
            (&["Basic !!!"], Offered::Garbled),
            (&["Basic Y29kZXI="], Offered::Garbled),
            (&[&persons], Offered::Garbled),
        ];
        for (fields, wanted) in table {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(PROXY_AUTHORIZATION, field.parse().unwrap());
            }
            assert_eq!(offered(&headers), wanted, "{fields:?}");
        }
    }
}
