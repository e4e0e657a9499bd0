//! The page in a real Chromium, over the real binary, with a real curl that waits for the answer.
//!
//! Where Node, Chromium or playwright-core is not installed the tests are skipped with a notice; with `EXEAT_TEST_CLIENTS=all` they must be there.
//! `.ci/run` puts playwright-core under `target/`, or `EXEAT_TEST_PLAYWRIGHT` names its folder. `EXEAT_DRAW_PAGE=1` writes the pictures in `docs/`.

mod corpus;
pub(crate) mod inspected;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::dns::Reply;
use crate::support::p0::P0;
use crate::support::proxy::{Proxy, exeat, of_kind};
use crate::support::pty::Terminal;
use crate::support::site::token;

const CHROMIUM: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// What a scenario is told, beside where the tools are.
struct Stage {
    p0: P0,
    proxy: Proxy,
    page: String,
    environment: Vec<(&'static str, String)>,
}

impl Stage {
    /// A running exeat with a page, `maria` and `otto` who may answer, `vera` who may look.
    fn new() -> Self {
        Self::of(P0::new())
    }

    fn of(mut p0: P0) -> Self {
        p0.site.set("admin", "address", "\"127.0.0.1:0\"");
        p0.site.set("hold", "wait", "\"50s\"");
        for name in ["one.held.test", "two.held.test", "three.held.test", "four.held.test"] {
            p0.site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let proxy = p0.start();
        let page = format!("http://{}/", proxy.people_at());
        let mut stage = Self { p0, proxy, page, environment: Vec::new() };
        for (name, role, variable) in [("maria", "admin", "PAGE_MARIA"), ("otto", "approver", "PAGE_OTTO"), ("vera", "viewer", "PAGE_VERA")]
        {
            let said = stage.proxy.said(&["approver", "add", name, "--role", role]);
            let token = said.split_whitespace().next().unwrap_or_else(|| panic!("no token in {said:?}"));
            stage.environment.push((variable, token.to_owned()));
        }
        let through = format!("http://a:{}@{}", token("a"), stage.proxy.address);
        let of_b = format!("http://b:{}@{}", token("b"), stage.proxy.address);
        let port = stage.p0.plain.port().to_string();
        stage.environment.extend([("PAGE_PROXY", through), ("PAGE_PROXY_B", of_b), ("PAGE_PORT", port)]);
        stage.environment.push(("PAGE_PID", stage.proxy.pid().as_raw_nonzero().to_string()));
        stage
    }

    /// Plays one scenario of `page.mjs`, which must end well.
    fn play(&self, scenario: &str, tools: &Tools) {
        play(scenario, tools, &self.page, &self.environment);
    }

    fn answers(&self) -> Vec<Value> {
        of_kind(&self.proxy.journal(), "answered").into_iter().cloned().collect()
    }
}

/// Where Chromium and what drives it are.
pub(crate) struct Tools {
    chromium: &'static str,
    playwright: PathBuf,
}

impl Tools {
    /// Says so if one is not there, and fails if all must be.
    pub(crate) fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let playwright = std::env::var_os("EXEAT_TEST_PLAYWRIGHT").map_or_else(|| target.join("test-page"), PathBuf::from);
        let chromium = CHROMIUM.into_iter().find(|path| Path::new(path).exists());
        let here = has_node() && playwright.join("node_modules/playwright-core").exists();
        let found = chromium.filter(|_| here).map(|chromium| Self { chromium, playwright });
        skipped("node, chromium and playwright-core", found.is_some());
        found
    }
}

fn has_node() -> bool {
    Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn skipped(what: &str, here: bool) {
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "{what} are not installed");
    if !here {
        eprintln!("NOTICE: {what} are not installed, the test of the page is skipped");
    }
}

/// Plays one scenario of `page.mjs` with a page, which must end well.
pub(crate) fn play(scenario: &str, tools: &Tools, page: &str, environment: &[(&str, String)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser/page.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(scenario).envs(environment.iter().map(|(name, value)| (name, value)));
    command.env("PAGE_URL", page).env("PAGE_CHROMIUM", tools.chromium).env("PAGE_PLAYWRIGHT", &tools.playwright);
    command.env("PAGE_DOCS", Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scenario}: {}\n{out}\n{err}", output.status);
}

/// The word after what a line starts with.
pub(crate) fn word_after(text: &str, start: &str) -> String {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_else(|| panic!("no line {start:?} in {text}")).to_owned()
}

#[test]
fn two_browsers_see_one_question_one_answers_and_the_waiting_curl_goes_on() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("two", &tools);
    let answers = stage.answers();
    let said: Vec<_> = answers.iter().map(|record| (&record["approver"], &record["answer"], &record["scope"])).collect();
    assert_eq!(said, [(&"maria".into(), &"yes".into(), &"once".into()), (&"otto".into(), &"no".into(), &Value::Null)]);
    assert_eq!(answers[1]["note"], "use the mirror");
}

#[test]
fn keys_act_on_the_selected_question_that_stood_still_and_nowhere_else() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("keys", &tools);
    let answers = stage.answers();
    let said: Vec<_> = answers.iter().map(|record| (record["answer"].as_str().unwrap(), record["scope"].as_str())).collect();
    assert_eq!(said, [("yes", Some("once")), ("yes", Some("for")), ("no", None), ("yes", Some("always"))]);
    assert_eq!(of_kind(&stage.proxy.journal(), "revoked").len(), 1);
}

#[test]
fn hostile_names_are_shown_and_nothing_of_them_is_executed() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("hostile", &tools);
    assert_eq!(stage.answers(), Vec::<Value>::new());
}

#[test]
fn hostile_text_in_any_listing_is_shown_and_nothing_of_it_is_executed() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("listings", &tools);
}

#[test]
fn what_the_floor_does_not_let_is_not_offered_and_its_refusal_is_told() {
    let Some(tools) = Tools::find() else { return };
    let p0 = P0::new();
    p0.site.allowlist("floor", "max_for = \"30m\"");
    let stage = Stage::of(p0);
    stage.play("floor", &tools);
    assert_eq!(stage.answers().len(), 1);
}

#[test]
fn a_question_that_changed_is_looked_at_again_before_it_is_answered() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("changed", &tools);
    assert_eq!(stage.answers().len(), 1);
}

#[test]
fn a_yes_to_private_networks_takes_a_second_step_and_is_given() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("networks", &tools);
    assert_eq!(stage.answers().len(), 1);
}

#[test]
fn two_people_say_yes_and_each_sees_what_the_other_said() {
    let Some(tools) = Tools::find() else { return };
    let p0 = P0::new();
    p0.site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]\napprovers = 2", "");
    let stage = Stage::of(p0);
    stage.play("together", &tools);
    assert_eq!(stage.answers().len(), 2);
}

#[test]
fn a_yes_is_revoked_an_agent_frozen_and_thawed_and_a_connection_cut_from_the_page() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("acts", &tools);
    let records = stage.proxy.journal();
    let done = ["revoked", "frozen", "thawed", "cut"].map(|kind| of_kind(&records, kind).len());
    assert_eq!(done, [1, 1, 1, 1]);
}

#[test]
fn a_card_shows_the_process_that_asks() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("process", &tools);
}

#[test]
fn a_viewer_sees_questions_and_no_button_that_answers() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("viewer", &tools);
}

#[test]
fn a_narrow_window_has_no_horizontal_scroll_in_any_section() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("narrow", &tools);
}

#[test]
fn a_lost_connection_is_said_and_answers_are_off() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("lost", &tools);
}

#[test]
fn attempts_are_shown_as_they_happen_and_filtered_by_agent_decision_and_host() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("attempts", &tools);
}

#[test]
fn attempts_that_are_paused_stand_still() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("pause", &tools);
}

#[test]
fn the_policy_in_force_is_shown_with_its_hash_files_warnings_and_faults() {
    let Some(tools) = Tools::find() else { return };
    let p0 = P0::new();
    let warned = "[[allow]]\nhost = \"get.test\"\nport = [80]\nmethod = [\"GTE\"]\n[[allow]]\nhost = \"blocked.test\"";
    p0.write_agents(warned);
    let mut stage = Stage::of(p0);
    let hash = of_kind(&stage.proxy.journal(), "policy")[0]["new"].as_str().unwrap().to_owned();
    let allowlist = stage.p0.site.path().join("allowlists/a.toml").display().to_string();
    stage.environment.extend([("PAGE_HASH", hash), ("PAGE_ALLOWLIST", allowlist)]);
    stage.play("policy", &tools);
}

#[test]
fn what_an_agent_would_get_is_explained_and_nothing_is_asked_or_tried() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("explain", &tools);
    assert_eq!(of_kind(&stage.proxy.journal(), "decided").len(), 0);
}

#[test]
fn the_focus_goes_through_the_page_as_it_is_seen_with_a_ring_and_out_again() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("tabs", &tools);
}

#[test]
fn every_control_has_a_name_and_a_role_of_its_own() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("names", &tools);
}

#[test]
fn every_text_as_it_is_drawn_can_be_read_in_light_and_dark() {
    let Some(tools) = Tools::find() else { return };
    Stage::new().play("contrast", &tools);
}

/// Nobody did anything in the scenario, and its one question is open.
fn assert_nothing_was_done(stage: &Stage) {
    let records = stage.proxy.journal();
    let done = ["answered", "frozen", "thawed", "cut", "revoked"].map(|kind| of_kind(&records, kind).len());
    assert_eq!((done, stage.proxy.holds().len()), ([0; 5], 1));
}

#[test]
fn a_name_that_a_page_came_from_and_that_then_leads_here_is_refused_everything() {
    let Some(tools) = Tools::find() else { return };
    let stage = Stage::new();
    stage.play("rebinding", &tools);
    assert_nothing_was_done(&stage);
}

#[test]
fn a_page_of_an_agent_on_another_port_reads_nothing_and_does_nothing() {
    let Some(tools) = Tools::find() else { return };
    let mut p0 = P0::new();
    p0.site.set("admin", "hosts", "[\"exeat.corp.example\"]");
    let stage = Stage::of(p0);
    stage.play("neighbour", &tools);
    assert_nothing_was_done(&stage);
}

#[test]
fn a_log_in_link_works_once_and_leaves_no_trace_in_the_address() {
    let Some(tools) = Tools::find() else { return };
    at_a_terminal(|page, link| play("login", &tools, page, &[("PAGE_LINK", link.to_owned())]));
}

#[test]
fn a_bot_that_looks_at_a_log_in_link_leaves_it_for_the_person() {
    let Some(tools) = Tools::find() else { return };
    at_a_terminal(|page, link| {
        for scenario in ["preview", "login"] {
            play(scenario, &tools, page, &[("PAGE_LINK", link.to_owned())]);
        }
    });
}

/// `serve` at a terminal: where its page is, and the link that logs in.
fn at_a_terminal(then: impl FnOnce(&str, &str)) {
    let mut p0 = P0::new();
    p0.site.set("admin", "address", "\"127.0.0.1:0\"");
    let (config, binary) = (p0.site.config(), exeat(None));
    let argv = [binary.get_program().to_str().unwrap(), "--config", config.to_str().unwrap(), "serve"];
    let terminal = Terminal::run(&argv, p0.site.path(), &[]);
    terminal.expect(" (once, within");
    let link = word_after(&terminal.shown(), "page ");
    let (page, _) = link.split_once('#').unwrap();
    then(page, &link);
}

#[test]
fn the_pictures_of_the_documentation_are_drawn_when_that_is_asked() {
    let Some(tools) = Tools::find().filter(|_| std::env::var_os("EXEAT_DRAW_PAGE").is_some()) else { return };
    let mut stage = Stage::new();
    let rule = "[[hold]]\nhost = \"api.github.com\"\nport = [80]\nmethod = [\"POST\"]\nnote = \"writes are asked\"";
    stage.p0.site.agent("coder", "unlisted = \"hold\"", rule);
    stage.proxy.until("the new agent is in force", |records| of_kind(records, "policy").len() > 1);
    stage.environment.retain(|(name, _)| *name != "PAGE_PROXY");
    stage.environment.push(("PAGE_PROXY", format!("http://coder:{}@{}", token("coder"), stage.proxy.address)));
    stage.play("pictures", &tools);
}

#[test]
fn the_parts_that_need_no_browser_hold_in_node() {
    let here = has_node();
    skipped("node", here);
    if !here {
        return;
    }
    // Older Node takes a script for a module only where a package says so.
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("src/admin/page/script")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).unwrap();
    let units = root.join("tests/it/browser/units.mjs");
    let output = Command::new("node").arg("--test").arg(units).env("PAGE_SCRIPTS", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
