//! The API is what its own description says: every documented route, with bodies that are right, wrong and missing.
//!
//! `schemathesis` asks more, where the Python of `EXEAT_TEST_PYTHON` has it; with `EXEAT_TEST_CLIENTS=all` it must.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Office, shown};
use crate::support::talk::Answer;

/// The answer is one of those that the description has for the route, and its body is as described.
fn assert_described(document: &Value, operation: &Value, answer: &Answer, what: &str) {
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{what}: {} is not described: {}", answer.status, answer.text());
    let kind = answer.header("content-type").unwrap_or_default();
    let content = &described["content"][kind];
    assert!(content.is_object(), "{what}: {} as {kind:?} is not described", answer.status);
    if kind == "text/event-stream" {
        return;
    }
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{what}: {error} in {}", answer.text()));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&body).map(|error| format!("{} {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {body}");
}

#[test]
fn every_route_answers_as_it_is_described() {
    let office = Office::new();
    let document = super::json(&office.send("GET", "openapi.json", &format!("Host: {}\r\n", office.at), ""));
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    // So that listings are not empty.
    let given = office.question("held.test");
    let approve = format!("holds/{}/approve", given["id"].as_str().unwrap());
    assert_eq!(office.call(&office.admin, "POST", &approve, &shown(&given)).status, 200);
    let hold = office.question("b.evil.test");
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let (method, route) = (method.to_ascii_uppercase(), path.strip_prefix("/api/v1/").unwrap());
            if ["openapi.json", "events"].contains(&route) {
                continue;
            }
            let id = hold["id"].as_str().unwrap();
            let routes = [route.replace("{id}", id).replace("{name}", "a"), route.replace("{id}", "%00%7F").replace("{name}", "%FF")];
            let bodies = [
                "",
                "{}",
                "[",
                "null",
                "[]",
                r#"{"unknown": 1}"#,
                r#"{"note": 7}"#,
                &shown(&hold),
                r#"{"agent": "a", "try": "x.test:443"}"#,
            ];
            for route in routes {
                for body in if operation["requestBody"].is_object() { &bodies[..] } else { &bodies[..1] } {
                    let what = format!("{method} {route} {body}");
                    assert_described(&document, operation, &office.call(&office.admin, &method, &route, body), &what);
                    assert_described(&document, operation, &office.call("exeat-session_x", "GET", &route, ""), &what);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 80, "{asked}");
    let wrong = [("holds", json!({})), ("agents", json!([{"agent": 7}]))];
    for (route, body) in wrong {
        let mut schema =
            document["paths"][format!("/api/v1/{route}")]["get"]["responses"]["200"]["content"]["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        assert!(!jsonschema::validator_for(&schema).unwrap().is_valid(&body), "{route}: the schema holds for anything");
    }
}

/// All that apply. The others would have a wrong token answered with 401 without end, where it is answered ever slower; a body that may be
/// left out refused; and whatever has the right shape accepted, where `facts` say what it is about.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,missing_required_header,unsupported_method";

#[test]
fn schemathesis_finds_nothing() {
    let python = std::env::var("EXEAT_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let here = Command::new(&python).args(["-c", "import schemathesis"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = here.is_ok_and(|status| status.success());
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "schemathesis is not installed");
    if !here {
        eprintln!("NOTICE: schemathesis is not installed, the API is not asked by it");
        return;
    }
    let office = Office::new();
    let tokens = [("viewer", "10"), ("approver", "10"), ("admin", "20")]
        .map(|(role, examples)| (role, examples, office.approver(&[role, "--role", role])));
    office.question("held.test");
    // Side by side: each takes most of its time in Python.
    std::thread::scope(|scope| {
        for (role, examples, token) in &tokens {
            let (office, python) = (&office, &python);
            scope.spawn(move || asked_by_schemathesis(office, python, (role, examples, token)));
        }
    });
}

fn asked_by_schemathesis(office: &Office, python: &str, (role, examples, token): (&str, &str, &str)) {
    let mut command = Command::new(python);
    command.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]);
    command.arg(format!("http://{}/api/v1/openapi.json", office.at));
    command.arg("--header").arg(format!("Authorization: Bearer {token}"));
    command.args(["--max-examples", examples, "--phases", "examples,coverage,fuzzing", "--exclude-path-regex", "events|openapi"]);
    command.arg("--checks").arg(CHECKS);
    command.args(["--no-color", "--seed", "1", "--suppress-health-check", "all", "--request-timeout", "10"]);
    let output = command.current_dir(office.p0.site.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role}: {said}");
}
