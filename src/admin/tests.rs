//! The API over a real socket.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::approval::testing::{Room, attempt};
use crate::egress::hold::{Asked, Word};
use crate::egress::record::{ApproverChanged, Record};

#[derive(Debug)]
struct Hooks;

impl AdminHooks for Hooks {
    fn reload_tokens(&self) -> Result<(), String> {
        Err("tokens.toml:3: no digest".to_owned())
    }
    fn reload(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(std::future::ready(Some(serde_json::json!({"result": "unchanged"}))))
    }
    fn policy(&self) -> Value {
        serde_json::json!({"files": ["coder.toml"], "warnings": [], "faults": []})
    }
    fn agents(&self) -> Value {
        serde_json::json!([{"agent": "coder"}])
    }
    fn freeze(&self, freeze: Freeze) -> Result<bool, String> {
        Ok(freeze.whom != Whom::Everyone)
    }
    fn thaw(&self, whom: &Whom, _: &str) -> Result<bool, String> {
        if *whom == Whom::Everyone { Err("no".to_owned()) } else { Ok(true) }
    }
    fn freezes(&self) -> Vec<Freeze> {
        Vec::new()
    }
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_server() {
    let (state, stop, serving, _room) = served();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state.path().join("s")), mode(&state.path().join("s").join(SOCKET))), (0o700, 0o600));
    stop.cancel();
    serving.await.unwrap();
    assert!(!state.path().join("s").join(SOCKET).exists());
}

#[tokio::test]
async fn a_folder_that_others_may_enter_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    for mode in [0o755, 0o710, 0o1777] {
        std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let error = bind(state.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        assert_eq!(std::fs::metadata(state.path()).unwrap().permissions().mode() & 0o7777, mode);
    }
}

#[tokio::test]
async fn a_server_that_ends_leaves_the_socket_of_another() {
    let (state, stop, serving, _room) = served();
    let path = state.path().join("s").join(SOCKET);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(bind(&state.path().join("s")), Err(BindError::Running(_))), "its lock is held");
    let _other = UnixListener::bind(&path).unwrap();
    stop.cancel();
    serving.await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn a_socket_is_replaced_only_where_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("s");
    let listener = bind(&state).unwrap();
    assert!(matches!(bind(&state), Err(BindError::Running(_))));
    drop(listener);
    drop(bind(&state).unwrap());
    std::fs::remove_file(state.join(SOCKET)).unwrap();
    std::fs::write(state.join(SOCKET), "precious").unwrap();
    assert!(matches!(bind(&state), Err(BindError::NotASocket(_))));
    std::fs::remove_file(state.join(SOCKET)).unwrap();
    symlink("/nowhere", state.join(SOCKET)).unwrap();
    assert!(matches!(bind(&state), Err(BindError::NotASocket(_))));
}

#[tokio::test]
async fn a_question_is_listed_answered_and_the_approval_revoked() {
    let (state, _stop, _serving, room) = served();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    let (status, holds) = ask(&state, "GET", "/api/v1/holds", "").await;
    assert_eq!((status, holds[0]["id"].as_str(), holds[0]["host"].as_str()), (200, Some(info.id.as_ref()), Some("192.0.2.1")));
    let body = r#"{"scope": "for", "seconds": 60, "addresses": ["10.0.0.0/8"], "addresses_confirmed": true, "note": "ok"}"#;
    let (status, answered) = ask(&state, "POST", &format!("/api/v1/holds/{}/approve", info.id), body).await;
    assert_eq!((status, &answered["scope"], &answered["addresses"][0]), (200, &"for".into(), &"10.0.0.0/8".into()));
    let (status, approvals) = ask(&state, "GET", "/api/v1/approvals", "").await;
    assert_eq!((status, &approvals[0]["id"], &approvals[0]["note"]), (200, &answered["approval"], &"ok".into()));
    let approver = approvals[0]["approver"].as_str().unwrap();
    assert!(!approver.is_empty() && approver != "agent");
    let (status, _) = ask(&state, "DELETE", &format!("/api/v1/approvals/{}", info.id), "").await;
    assert_eq!(status, 200);
    let (_, approvals) = ask(&state, "GET", "/api/v1/approvals", "").await;
    assert_eq!(approvals, serde_json::json!([]));
}

#[tokio::test]
async fn what_is_wrong_is_said_as_a_problem() {
    let (state, _stop, _serving, room) = served();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    let approve = format!("/api/v1/holds/{}/approve", info.id);
    let deny = format!("/api/v1/holds/{}/deny", info.id);
    let large = format!(r#"{{"note": "{}"}}"#, "x".repeat(20_000));
    let rows = [
        ("GET", "/nothing", "", 404),
        ("GET", "/api/v1/nothing", "", 404),
        ("GET", "/api/v1/holds/", "", 404),
        ("POST", "/api/v1/holds", "", 405),
        ("GET", &approve, "", 405),
        ("GET", "/api/v1/holds?agent=coder", "", 400),
        ("GET", "/api/v1/holds?watch&agent=NO", "", 400),
        ("POST", "/api/v1/holds/zzzzzz/approve", "", 404),
        ("POST", &approve, "[", 400),
        ("POST", &approve, r#"{"scope": "forever"}"#, 400),
        ("POST", &approve, r#"{"scope": "for"}"#, 400),
        ("POST", &approve, r#"{"scope": "once", "seconds": 3}"#, 400),
        ("POST", &approve, r#"{"approver": "root"}"#, 400),
        ("POST", &approve, r#"{"addresses": ["8.8.8.8/32", "10.0.0.7/32"]}"#, 400),
        ("POST", &approve, r#"{"addresses": ["10.0.0.7/32"], "addresses_confirmed": false}"#, 400),
        ("POST", &deny, &large, 413),
        ("POST", &deny, "", 200),
        ("POST", &approve, "", 409),
        ("DELETE", "/api/v1/approvals/zzzzzz", "", 404),
        ("POST", "/api/v1/tokens/reload", "", 409),
        ("GET", "/api/v1/agents", "", 200),
    ];
    for (method, path, body, expected) in rows {
        let (status, said) = ask(&state, method, path, body).await;
        assert_eq!(status, expected, "{method} {path} {said}");
        assert!(status == 200 || (said["status"] == status && said["detail"].is_string()), "{said}");
    }
}

#[tokio::test]
async fn a_watcher_counts_as_present_as_long_as_he_is_connected() {
    let (state, _stop, _serving, room) = served();
    let mut watcher = connect(&state).await;
    watcher.write_all(b"GET /api/v1/holds?watch HTTP/1.1\r\nhost: exeat\r\n\r\n").await.unwrap();
    let mut seen = [0; 64];
    assert!(watcher.read(&mut seen).await.unwrap() > 0);
    // He is present before his answer's head is sent.
    let Asked::Waiting(waiting) = room.ask(&attempt(1, "coder", 1)) else { panic!("unattended") };
    let mut text = String::new();
    while !text.contains(waiting.hold.id.as_ref()) {
        let count = watcher.read(&mut seen).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&seen[..count]));
    }
    drop(watcher);
    let mut waiting = waiting;
    let word = tokio::time::timeout(Duration::from_secs(20), waiting.word()).await.unwrap();
    assert_eq!(word, Word::Unattended);
}

#[tokio::test]
async fn an_approver_that_the_store_does_not_take_or_give_up_is_taken_back_in_the_journal() {
    let (state, _stop, _serving, room) = served();
    let new = |name: &str| serde_json::json!({"name": name, "role": "viewer"}).to_string();
    assert_eq!(ask(&state, "POST", "/api/v1/approvers", &new("alice")).await.0, 200);
    room.store.break_it(true);
    for (method, path, body) in [("POST", "/api/v1/approvers", new("bob")), ("DELETE", "/api/v1/approvers/alice", String::new())] {
        let (status, said) = ask(&state, method, path, &body).await;
        assert_eq!(status, 503, "{method} {path} {said}");
    }
    let known = ask(&state, "GET", "/api/v1/approvers", "").await.1;
    assert_eq!((known.as_array().unwrap().len(), &known[0]["name"]), (1, &"alice".into()));
    let told = |record: &Record| {
        let Record::Approver(ApproverChanged { name, change, role: _, agents: _, who }) = record else { panic!("{record:?}") };
        format!("{name} {change:?} by {}", if who == "exeat" { "exeat" } else { "a person" })
    };
    let written: Vec<String> = room.journal.written.lock().iter().map(told).collect();
    let all =
        ["alice Added by a person", "bob Added by a person", "bob Removed by exeat", "alice Removed by a person", "alice Added by exeat"];
    assert_eq!(written, all);
}

fn served() -> (tempfile::TempDir, CancellationToken, tokio::task::JoinHandle<()>, Room) {
    let state = tempfile::tempdir().unwrap();
    let listener = bind(&state.path().join("s")).unwrap();
    let (room, stop) = (Room::new(), CancellationToken::new());
    let serving = tokio::spawn(serve(listener, api(&room, &stop), stop.clone()));
    (state, stop, serving, room)
}

fn api(room: &Room, stop: &CancellationToken) -> Arc<Api> {
    Arc::new(Api {
        desk: Arc::clone(&room.desk),
        hooks: Arc::new(Hooks),
        policy: Arc::clone(&room.policy),
        recorder: Arc::clone(&room.journal) as _,
        recent: Arc::default(),
        tunnels: Arc::default(),
        people: People::new(Arc::clone(&room.store) as _).unwrap(),
        hosts: vec!["exeat.corp.example".into()],
        streams: Streams::default(),
        stop: stop.clone(),
    })
}

#[expect(clippy::disallowed_methods, reason = "the test's own socket")]
async fn connect(state: &tempfile::TempDir) -> UnixStream {
    UnixStream::connect(state.path().join("s").join(SOCKET)).await.unwrap()
}

async fn ask(state: &tempfile::TempDir, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = connect(state).await;
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: exeat\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn every_route_is_described_and_none_twice() {
    let described = document();
    let mut routes: Vec<String> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for (path, item) in &described.paths.paths {
        for (method, operation) in [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)] {
            if let Some(operation) = operation {
                routes.push(format!("{method} {}", path.trim_start_matches("/api/v1/")));
                ids.extend(operation.operation_id.clone());
                assert!(operation.responses.responses.contains_key("200"), "{path}");
            }
        }
    }
    routes.sort();
    let wanted = [
        "DELETE approvals/{id}",
        "DELETE approvers/{name}",
        "DELETE tunnels/{id}",
        "GET agents",
        "GET approvals",
        "GET approvers",
        "GET attempts",
        "GET events",
        "GET holds",
        "GET holds/{id}",
        "GET me",
        "GET policy",
        "GET tunnels",
        "POST agents/{name}/freeze",
        "POST agents/{name}/thaw",
        "POST approvers",
        "POST explain",
        "POST freeze",
        "POST holds/{id}/approve",
        "POST holds/{id}/deny",
        "POST login",
        "POST logout",
        "POST reload",
        "POST thaw",
        "POST tokens/reload",
    ];
    assert_eq!(routes, wanted);
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all), (wanted.len(), wanted.len()), "an operation id that is not there, or there twice");
}
