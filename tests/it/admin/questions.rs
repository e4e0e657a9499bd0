//! Questions over the API as they really come and go: what is shown of who asks, what is too late, what changed, what two people say.

use serde_json::{Value, json};

use super::{Office, json, shown};
use crate::hold::ask;
use crate::support::p0::P0;
use crate::support::proxy::of_kind;

/// A question that shows the process that asked, which is this one. The look is bounded in time, and this machine may be busy.
fn observed(office: &Office) -> Value {
    let tries = (0..40).map(|number| office.question(&format!("seen{number}.evil.test")));
    let seen = tries.into_iter().find(|hold| hold["process"].is_object());
    seen.expect("no question of forty showed who asked")
}

#[test]
fn a_question_shows_the_process_that_asks() {
    let office = Office::new();
    let hold = observed(&office);
    let process = &office.get(&format!("holds/{}", hold["id"].as_str().unwrap()))["process"];
    assert_eq!((&process["pid"], &process["holders"]), (&json!(std::process::id()), &json!(1)), "{process}");
    assert_eq!(process["executable"].as_str(), std::env::current_exe().unwrap().to_str());
}

#[test]
fn what_changed_over_a_restart_is_looked_at_again_before_it_is_answered() {
    let mut office = Office::new();
    let before = observed(&office);
    let route = format!("holds/{}/approve", before["id"].as_str().unwrap());
    assert!(office.proxy.stop().success());
    office.proxy = office.p0.start();
    office.at = office.proxy.people_at();
    let answer = office.call(&office.admin, "POST", &route, &shown(&before));
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("look again"), "{}", answer.text());
    let after = office.get(&route.replace("/approve", ""));
    assert_eq!((&after["process"], after["facts"] == before["facts"]), (&Value::Null, false));
    assert_eq!(office.call(&office.admin, "POST", &route, &shown(&after)).status, 200);
}

#[test]
fn an_answer_that_comes_too_late_has_no_effect() {
    let mut p0 = P0::new();
    p0.site.set("hold", "pending", "\"2s\"");
    let office = Office::of(p0);
    let (own, other) = (office.approver(&["otto", "--agents", "a"]), office.approver(&["vera", "--agents", "b"]));
    let hold = office.question("held.test");
    office.proxy.until_held(0, 0);
    for verb in ["approve", "deny"] {
        let answer = office.call(&office.admin, "POST", &format!("holds/{}/{verb}", hold["id"].as_str().unwrap()), &shown(&hold));
        assert_eq!(answer.status, 404, "{verb}: {}", answer.text());
        assert!(answer.text().contains("died unanswered"), "{}", answer.text());
        for (token, words) in [(&own, "died unanswered"), (&other, "no question has that id")] {
            let answer = office.call(token, "POST", &format!("holds/{}/{verb}", hold["id"].as_str().unwrap()), &shown(&hold));
            assert!(answer.status == 404 && answer.text().contains(words), "{verb}: {}", answer.text());
        }
    }
    assert_eq!((of_kind(&office.proxy.journal(), "answered").len(), office.get("approvals")), (0, json!([])));
}

#[test]
fn a_yes_of_one_person_is_shown_to_the_next_and_lets_nothing_pass() {
    let p0 = P0::new();
    p0.site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]\napprovers = 2", "");
    let office = Office::of(p0);
    let otto = office.approver(&["otto"]);
    let mut events = office.events(&otto);
    super::answers::until(&mut events, "event: snapshot");
    let mut waiting = ask(&office.p0, &office.proxy, "held.test");
    let hold = office.proxy.until_held(1, 1).remove(0);
    assert_eq!((&hold["approvers"], &hold["yes_by"]), (&json!(2), &Value::Null));
    let route = format!("holds/{}", hold["id"].as_str().unwrap());
    let approve = |token: &str| office.call(token, "POST", &format!("{route}/approve"), &shown(&hold));
    let first = approve(&office.admin);
    assert_eq!((first.status, &json(&first)["approval"]), (200, &Value::Null), "{}", first.text());
    super::answers::until(&mut events, "\"yes_by\":[\"alice\"]");
    assert_eq!(approve(&office.admin).status, 409, "one person is two");
    assert_eq!((office.get(&route)["yes_by"].clone(), office.get("approvals")), (json!(["alice"]), json!([])));
    let second = approve(&otto);
    assert_eq!((second.status, json(&second)["released"].clone()), (200, json!(1)), "{}", second.text());
    assert_eq!(waiting.answer().status, 200);
}

#[test]
fn a_question_says_what_the_floor_lets_a_yes_be_and_says_so_again_when_that_changes() {
    let office = Office::new();
    let hold = office.question("held.test");
    let route = format!("holds/{}", hold["id"].as_str().unwrap());
    let bounds = |hold: &Value| (hold["max_for"].clone(), hold["always"].clone());
    assert_eq!(bounds(&office.get(&route)), (Value::Null, json!(true)));
    let mut events = office.events(&office.admin);
    super::answers::until(&mut events, "event: snapshot");
    std::fs::write(office.p0.site.path().join("allowlists/floor.toml"), "max_for = \"1h\"\n").unwrap();
    super::answers::until(&mut events, "event: hold-changed");
    super::answers::until(&mut events, "\"max_for\":3600,\"always\":false");
    assert_eq!(bounds(&office.get("holds")[0]), (json!(3600), json!(false)));
    let longer = format!("{{\"scope\": \"for\", \"seconds\": 3601, \"facts\": {}}}", hold["facts"]);
    assert_eq!(office.call(&office.admin, "POST", &format!("{route}/approve"), &longer).status, 403);
}

#[test]
fn a_private_network_takes_a_second_word() {
    let office = Office::new();
    let hold = office.question("held.test");
    let route = format!("holds/{}/approve", hold["id"].as_str().unwrap());
    let body = |more: &str| format!("{{\"addresses\": [\"10.0.0.0/8\"], \"facts\": {}{more}}}", hold["facts"]);
    assert_eq!(office.call(&office.admin, "POST", &route, &body("")).status, 400);
    assert_eq!(office.call(&office.admin, "POST", &route, &body(", \"addresses_confirmed\": true")).status, 200);
}
