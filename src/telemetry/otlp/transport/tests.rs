#![expect(clippy::unwrap_used, reason = "tests")]

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::telemetry::otlp::answer::Then;

/// A collector that answers one connection with these bytes; what it was asked.
async fn answers(protocol: Protocol, says: Vec<u8>) -> (Collector, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = BackEnd::parse(&format!("http://{}/base/", listener.local_addr().unwrap())).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        let _ = stream.write_all(&says).await;
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("k"));
    let dialer = Dialer::new(&to, None).unwrap();
    (Collector::new(to, dialer, protocol, headers), asked)
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[tokio::test]
async fn an_answer_by_http_is_read_for_what_it_says() {
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "old\n".into() });
    let partly = ExportLogsServiceResponse { partial_success }.encode_to_vec();
    let negative = Some(ExportLogsPartialSuccess { rejected_log_records: -2, error_message: String::new() });
    let negative = ExportLogsServiceResponse { partial_success: negative }.encode_to_vec();
    let refused = |then, why: &str| Err(Refused { then, why: why.into() });
    let table = [
        (http("200 OK", b""), Ok(Taken::default())),
        (http("200 OK", &partly), Ok(Taken { rejected: 2, words: "old ".into() })),
        (http("200 OK", &negative), Ok(Taken::default())),
        (http("200 OK", b"<html>"), refused(Then::Again(None), "what answers is no OTLP collector")),
        (http("302 Found", b""), refused(Then::Again(None), "the collector answered 302")),
        (http("400 Bad Request", b""), refused(Then::Never, "the collector answered 400")),
        (http("503 Busy\r\nRetry-After: 9", b""), refused(Then::Again(Some(Duration::from_secs(9))), "the collector answered 503")),
    ];
    for (says, wanted) in table {
        let (mut collector, asked) = answers(Protocol::Http, says).await;
        assert_eq!(collector.export(ExportLogsServiceRequest::default()).await, wanted);
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.starts_with("post /base/v1/logs http/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\ncontent-type: application/x-protobuf\r\n") && asked.contains("\r\nx-key: k\r\n"), "{asked}");
    }
}

#[tokio::test]
async fn what_speaks_no_http2_is_tried_again() {
    let (mut collector, _asked) = answers(Protocol::Grpc, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let refused = collector.export(ExportLogsServiceRequest::default()).await.unwrap_err();
    assert_eq!(refused.then, Then::Again(None), "{refused}");
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_an_export_may_take() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = BackEnd::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let dialer = Dialer::new(&to, None).unwrap();
        let mut collector = Collector { within: Duration::from_millis(50), ..Collector::new(to, dialer, protocol, HeaderMap::new()) };
        let refused = collector.export(ExportLogsServiceRequest::default()).await.unwrap_err();
        assert_eq!(refused.then, Then::Again(None), "{refused}");
        assert!(collector.channel.is_none(), "a connection that hangs is not used again");
    }
}

#[tokio::test]
async fn what_a_collector_repeats_of_our_credentials_is_not_passed_on() {
    let message = format!("{} no Bearer s3cr3t-4711 and no s3cr3t-4711", "x".repeat(180));
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: 1, error_message: message.clone() });
    let partly = ExportLogsServiceResponse { partial_success }.encode_to_vec();
    let (mut collector, _asked) = answers(Protocol::Http, http("200 OK", &partly)).await;
    collector.headers.insert("authorization", HeaderValue::from_static("Bearer s3cr3t-4711"));
    let taken = collector.export(ExportLogsServiceRequest::default()).await.unwrap();
    let refused = collector.refused(&Status::unauthenticated(message));
    for said in [taken.words, refused.why] {
        assert!(said.contains("no *** *** and") && !said.contains("s3cr"), "{said}");
    }
}

#[tokio::test]
async fn why_a_collector_cannot_be_spoken_to_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = BackEnd::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let dialer = Dialer::new(&to, None).unwrap();
    let refused =
        Collector::new(to, dialer, Protocol::Grpc, HeaderMap::new()).export(ExportLogsServiceRequest::default()).await.unwrap_err();
    assert_eq!(refused.then, Then::Again(None));
    assert!(refused.why.starts_with("the collector cannot be spoken to: it cannot be connected to: "), "{}", refused.why);
}
