//! What a receiver is posted, and what its answers mean.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::telemetry::sinks::sample::entries;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secret_file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

/// What one delivery posts, and what comes of the answer.
async fn delivered(batch: &[Entry], answer: &str) -> (String, Result<(), NotDelivered>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_folder, secret) = secret_file(SECRET, 0o600);
    let url = format!("http://{}/in/put", listener.local_addr().unwrap());
    let mut webhook = Webhook::new(&url, &secret, None).unwrap();
    let answer = answer.to_owned();
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"]}") {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(text).unwrap()
    };
    tokio::join!(receiver, webhook.deliver(batch))
}

fn header<'t>(text: &'t str, name: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

#[tokio::test]
async fn a_batch_is_one_signed_object_and_has_the_same_id_when_it_comes_again() {
    let (_state, entries) = entries(3);
    let (first, result) = delivered(&entries, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(result, Ok(()));
    assert!(first.starts_with("POST /in/put HTTP/1.1\r\n"), "{first}");
    let (head, body) = first.split_once("\r\n\r\n").unwrap();
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    let records = value["records"].as_array().unwrap().iter().map(|record| record["record"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((value["type"].as_str(), records), (Some("exeat.records"), vec!["proxy-1/1", "proxy-1/2", "proxy-1/3"]));
    let mut headers = HeaderMap::new();
    for name in [HEADER_WEBHOOK_ID, HEADER_WEBHOOK_TIMESTAMP, HEADER_WEBHOOK_SIGNATURE] {
        headers.insert(name, HeaderValue::from_str(header(head, name)).unwrap());
    }
    Signer::new(SECRET).unwrap().verify(body.as_bytes(), &headers).unwrap();
    assert!(Signer::new(SECRET).unwrap().verify(body.replacen("proxy-1/1", "proxy-1/9", 1).as_bytes(), &headers).is_err());

    let (again, _) = delivered(&entries, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(header(&again, HEADER_WEBHOOK_ID), header(&first, HEADER_WEBHOOK_ID));
    let (other, _) = delivered(&entries[..2], "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_ne!(header(&other, HEADER_WEBHOOK_ID), header(&first, HEADER_WEBHOOK_ID));
}

#[tokio::test]
async fn what_is_no_answer_is_tried_again() {
    let (_state, entries) = entries(1);
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n{}", "x".repeat(70_000));
    for answer in ["", "garbage\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", endless.as_str()] {
        let (_, result) = delivered(&entries, answer).await;
        assert!(matches!(result, Err(NotDelivered::Later { after: None, .. })), "{:.30}: {result:?}", answer);
    }
}

#[test]
fn only_a_fault_of_the_content_refuses_records() {
    let after = Some(Duration::from_secs(7));
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(judged(StatusCode::from_u16(status).unwrap(), after), Ok(()), "{status}");
    }
    for status in [400, 413, 422] {
        let status = StatusCode::from_u16(status).unwrap();
        let why = format!("the receiver answered {status}");
        assert_eq!(judged(status, after), Err(NotDelivered::Never { which: Vec::new(), why }));
    }
    for status in [100, 301, 302, 401, 403, 404, 405, 408, 410, 425, 429, 500, 502, 503, 504, 599] {
        let status = StatusCode::from_u16(status).unwrap();
        let why = format!("the receiver answered {status}");
        assert_eq!(judged(status, after), Err(NotDelivered::Later { why, after }));
    }
}

#[test]
fn a_secret_that_is_weak_or_open_to_others_is_told_and_never_shown() {
    let said = |text: &str, mode: u32| {
        let (_folder, path) = secret_file(text, mode);
        let result = Webhook::new("http://127.0.0.1:1/", &path, None);
        result.map_err(|error| error.to_string().replace(path.to_str().unwrap(), "F"))
    };
    assert!(said(&format!("{SECRET}\n"), 0o400).is_ok());
    assert!(said(&SECRET[6..], 0o600).is_ok());
    let open = "secret_file: F: can be read by others than its owner; chmod 600 F";
    assert_eq!(said(SECRET, 0o640).unwrap_err(), open);
    for text in ["", "whsec_", "hunter2", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_c2hvcnQ="] {
        let why = "secret_file: F: holds no secret; write whsec_ and the base64 of 24 to 64 random bytes";
        assert_eq!(said(text, 0o600).unwrap_err(), why);
    }
    let (_folder, path) = secret_file(SECRET, 0o600);
    let webhook = Webhook::new("https://hook.example/t/abcd", &path, None).unwrap();
    assert_eq!(format!("{webhook:?}"), "Webhook(https://hook.example)");
}
