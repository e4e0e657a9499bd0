use std::path::Path;

use super::*;
use crate::policy::attempt::Scheme;
use crate::policy::destination::Destination;
use crate::policy::inject::SecretSource;

const SECRET: &str = "s3cret-v4lue";

fn inject(prefix: &str, placeholder: Option<&str>, mask: bool) -> Arc<Inject> {
    let value = SecretSource::File("secret".into());
    Arc::new(Inject {
        place: RuleRef { file: "c.toml".into(), line: 7 },
        destination: Destination::parse("api.test:443").unwrap(),
        scheme: Scheme::Https,
        request: None,
        credential: Credential::Header {
            name: "authorization".into(),
            prefix: prefix.into(),
            value,
            placeholder: placeholder.map(Arc::from),
        },
        mask,
    })
}

async fn had(folder: &Path, secret: &str, apply: Vec<Arc<Inject>>) -> Result<Injected, Unready> {
    std::fs::write(folder.join("secret"), secret).unwrap();
    let secrets = Secrets::new(Some(folder.to_owned()));
    let headers = vec!["authorization".into(), "x-own_Key".into()];
    Injected::had(&secrets, Some(&Injection { headers, apply })).await
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn left(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    left.sort();
    left
}

#[tokio::test]
async fn a_credential_takes_the_place_of_every_one_of_the_agents_own() {
    let folder = tempfile::tempdir().unwrap();
    let injected = had(folder.path(), SECRET, vec![inject("Bearer ", None, false)]).await.unwrap();
    let mut sent: Vec<(String, &str)> =
        CREDENTIALS.iter().flat_map(|name| [((*name).to_owned(), "own"), (name.replace('-', "_"), "own")]).collect();
    sent.extend([
        ("x-own-key".to_owned(), "own"),
        ("x_own_key".to_owned(), "own"),
        ("accept".to_owned(), "*/*"),
        ("x-other".to_owned(), "1"),
    ]);
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut headers = headers(&sent);
    injected.put_in(&mut headers);
    assert_eq!(
        left(&headers),
        [("accept", "*/*"), ("authorization", "Bearer s3cret-v4lue"), ("x-other", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(headers["authorization"].is_sensitive());
}

#[tokio::test]
async fn where_none_is_meant_for_the_request_the_agents_own_is_taken_out_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let injected = had(folder.path(), SECRET, Vec::new()).await.unwrap();
    let mut headers = headers(&[("authorization", "Bearer own"), ("cookie", "a=b"), ("accept", "*/*")]);
    injected.put_in(&mut headers);
    assert_eq!(left(&headers), [("accept".to_owned(), "*/*".to_owned())]);
    let mut untouched = headers.clone();
    Injected::default().put_in(&mut untouched);
    assert_eq!(untouched, headers);
}

#[tokio::test]
async fn a_placeholder_is_replaced_within_its_field_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let injected = had(folder.path(), SECRET, vec![inject("", Some("HOLDER"), false)]).await.unwrap();
    for (own, wanted) in [
        (Some("token HOLDER"), Some("token s3cret-v4lue")),
        (Some("a HOLDER b HOLDER"), Some("a s3cret-v4lue b s3cret-v4lue")),
        // "git:HOLDER" and "git:s3cret-v4lue".
        (Some("Basic Z2l0OkhPTERFUg=="), Some("Basic Z2l0OnMzY3JldC12NGx1ZQ==")),
        (Some("basic Z2l0OkhPTERFUg=="), Some("basic Z2l0OnMzY3JldC12NGx1ZQ==")),
        (Some("Basic !"), None),
        (Some("Bearer of-the-agents-own"), None),
        (None, None),
    ] {
        let mut headers = headers(&own.map(|own| ("authorization", own)).into_iter().chain([("x-note", "HOLDER")]).collect::<Vec<_>>());
        injected.put_in(&mut headers);
        assert_eq!(headers.get("authorization").map(|value| value.to_str().unwrap()), wanted, "{own:?}");
        assert_eq!(headers["x-note"], "HOLDER");
    }
}

#[tokio::test]
async fn an_answer_that_is_masked_is_asked_for_whole_and_uncoded() {
    let folder = tempfile::tempdir().unwrap();
    let injected = had(folder.path(), SECRET, vec![inject("", None, true)]).await.unwrap();
    let mut headers = headers(&[("accept-encoding", "gzip, br"), ("range", "bytes=0-3"), ("if-range", "x")]);
    injected.put_in(&mut headers);
    assert_eq!(
        left(&headers),
        [("accept-encoding", "identity"), ("authorization", SECRET)].map(|(name, value)| (name.into(), value.into()))
    );
    assert!(matches!(injected.no_socket(), Some((Reason::Blocked, Cause::Rule { .. }))));
}

#[tokio::test]
async fn a_secret_that_fits_no_field_is_refused_before_anything_is_dialled() {
    let folder = tempfile::tempdir().unwrap();
    for (secret, mask, why) in [
        ("a\nb", false, Unavailable::NotAField),
        ("a\tb", false, Unavailable::NotAField),
        ("a\0b", false, Unavailable::NotAField),
        ("\n", false, Unavailable::Empty),
        ("short", true, Unavailable::TooShort),
    ] {
        let place = RuleRef { file: "c.toml".into(), line: 7 };
        let unready = had(folder.path(), secret, vec![inject("", None, mask)]).await.unwrap_err();
        assert_eq!(unready, Unready { place, why }, "{secret:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_shown_of_it_shows_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let injected = had(folder.path(), SECRET, vec![inject("", None, true)]).await.unwrap();
    let mut headers = HeaderMap::new();
    injected.put_in(&mut headers);
    assert!(!format!("{injected:?} {headers:?}").contains(SECRET));
}

#[test]
fn a_field_does_not_grow_with_how_often_a_placeholder_stands_in_it() {
    let (secret, most) = ("s".repeat(1000), GROWS_MOST / 1000);
    let filled = |times: usize| replaced("x".repeat(times).as_bytes(), b"x", secret.as_bytes());
    assert_eq!(filled(2).map(|field| field.len()), Some(2000));
    assert!(filled(most - 1).is_some() && filled(most * 2).is_none());
}
