//! Every snippet of README.md is run as it stands there, in order. A snippet that no claim below names fails the test, and so does a claim without a snippet.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{Tools, play as play_page, word_after};
use crate::documents::reader::{Background, Reader, free_ports, lines};
use crate::documents::{Claim, blocks, play};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::p0::assert_refused;
use crate::support::proxy::{decided, ended, journal};
use crate::support::site::{Site, offer};
use crate::support::talk::Talk;
use crate::support::tls::Authority;

const PAGE: &str = "README.md";

/// In the order of the README.
pub(crate) const CLAIMS: &[Claim<Story>] = &[
    (PAGE, "sh examples/hello/run.sh", |_, text| assert_eq!(text, "sh examples/hello/run.sh", "hello.rs runs exactly this")),
    (PAGE, ".ci/run test", |_, text| assert_eq!(text, ".ci/run test", "this suite is what it runs")),
    (PAGE, "exeat run --allow", a_developer_runs_an_agent),
    (PAGE, "exeat run --unlisted block", a_developer_sees_a_refusal),
    (PAGE, "agent    =", an_engineer_writes_an_allowlist),
    (PAGE, "allowlists =", an_engineer_writes_a_configuration),
    (PAGE, "exeat --config exeat.toml check", an_engineer_starts_it),
    (PAGE, "exeat --config exeat.toml holds", an_engineer_answers),
    (PAGE, "printf", an_engineer_answers_in_a_browser),
    (PAGE, "exeat --config exeat.toml ca init", an_engineer_makes_an_authority),
    (PAGE, "[[allow]]", an_engineer_adds_rules_about_requests),
    (PAGE, "exeat --config exeat.toml explain coder 'DELETE", an_engineer_looks_inside),
    (PAGE, "exeat --config exeat.toml explain coder https", a_security_engineer_looks),
];

/// The names of the README lead to origins on this machine, on ports that are free, so these words are added to the snippets that list them.
fn stand_ins(port: u16, secure: u16, free: [u16; 3]) -> Vec<(&'static str, String)> {
    let here = "127.0.0.0/8";
    let ports = format!("port = [{port}, {secure}]\naddresses = [\"{here}\"]");
    vec![
        // On a command line.
        ("exeat run ", format!("exeat run --addresses {here} ")),
        ("--allow api.openai.com", format!("--allow api.openai.com:{port}")),
        ("--allow '*.pythonhosted.example'", format!("--allow '*.pythonhosted.example:{port}'")),
        // In the allowlist.
        ("unlisted = \"hold\"", format!("unlisted = \"hold\"\naddresses = [\"{here}\"]")),
        ("host = \"api.openai.com\"", format!("host = \"api.openai.com\"\n{ports}")),
        // In the configuration.
        ("127.0.0.1:3128", format!("127.0.0.1:{}", free[0])),
        ("127.0.0.1:9464", format!("127.0.0.1:{}", free[1])),
        ("127.0.0.1:3129", format!("127.0.0.1:{}", free[2])),
        // In front of the browser.
        ("[[allow]]\nhost   = \"api.example.com\"", format!("[[allow]]\nhost = \"api.example.com\"\n{ports}")),
        ("[[inject]]\n", format!("[[inject]]\nport = {}\n", secure)),
        ("https://api.example.com/", format!("https://api.example.com:{}/", secure)),
        ("EXAMPLE_TOKEN=", "env EXAMPLE_TOKEN=".to_owned()),
        ("curl -sS https://example.com/", format!("curl -sSk --noproxy '' https://example.com:{}/", secure)),
    ]
}

/// What a reader has in front of them: a folder, `exeat` and `my-agent` in the search path, names that resolve, and what ran so far.
pub(crate) struct Story {
    serving: Option<Background>,
    watching: Option<Background>,
    /// The proxy URL that `token` printed.
    url: String,
    reader: Reader,
    plain: Origin,
    secure: Origin,
    authority: Authority,
    free: [u16; 3],
}

impl Story {
    fn new() -> Self {
        let authority = Authority::new();
        let secure = Origin::https(&authority.identity(&["release.example", "example.com", "api.example.com"]), |request| {
            let credential = request.header("authorization").map(|value| format!(" {value}"));
            ok(&format!("secure {}{}", request.target(), credential.unwrap_or_default()))
        });
        let plain = Origin::http(|request| ok(&format!("reached {}\n", request.header("host").unwrap().split(':').next().unwrap())));
        let site = Site::new();
        for name in
            ["api.openai.com", "files.pythonhosted.example", "elsewhere.example", "release.example", "example.com", "api.example.com"]
        {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        // Only `exeat run` has no `--config` of its own.
        let config = site.path().join("dns-only.toml");
        fs::write(&config, format!("state = \"run-state\"\n[dns]\nservers = [\"{}\"]\n", site.dns.address)).unwrap();
        let (mut reader, free) = (Reader::new(site), free_ports());
        reader.stand_ins = stand_ins(plain.port(), secure.port(), free);
        reader.environment.push(("EXEAT_CONFIG", config.display().to_string()));
        Self { reader, serving: None, watching: None, url: String::new(), plain, secure, authority, free }
    }

    fn credentials(&self) -> String {
        let (name, token) = self.url.strip_prefix("http://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
        offer(name, token)
    }

    fn talk(&self) -> Talk {
        Talk::to(self.url.rsplit('@').next().unwrap().parse().unwrap())
    }

    fn first_id(&self, listing: &str) -> String {
        let listed: Vec<Value> = serde_json::from_str(&self.reader.said(&format!("exeat --config exeat.toml {listing} --json"))).unwrap();
        let id = listed[0].get("hold").filter(|id| id.is_string()).unwrap_or(&listed[0]["id"]);
        id.as_str().unwrap().to_owned()
    }
}

#[test]
fn every_snippet_runs_and_does_what_the_words_around_it_say() {
    assert_eq!(CLAIMS.len(), blocks(PAGE).len(), "the README's other blocks are part of the story as well");
    play(CLAIMS, &mut Story::new());
}

fn a_developer_runs_an_agent(story: &mut Story, text: &str) {
    let [line] = lines(text);
    let port = story.plain.port();
    let agent = ["api.openai.com", "files.pythonhosted.example", "elsewhere.example"]
        .map(|host| format!("curl -sS http://{host}:{port}/\n"))
        .concat();
    let program = story.reader.folder().join("bin/my-agent");
    fs::write(&program, format!("#!/bin/sh\n{agent}env | grep -i _proxy=\nexit 7\n")).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let mut terminal = story.reader.on_a_terminal(line);
    terminal.expect("elsewhere.example:");
    assert!(!story.reader.site.dns.was_asked("elsewhere.example"));
    terminal.press("y\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 7, "not the command's exit code: {shown}");
    for word in ["reached api.openai.com", "reached files.pythonhosted.example", "reached elsewhere.example", "not enforced"] {
        assert!(shown.contains(word), "{word} is not shown: {shown}");
    }
    assert_eq!(shown.matches("[y]es [h]our [a]lways [n]o").count(), 1, "what is listed was asked: {shown}");
    assert!(shown.contains("HTTPS_PROXY=http://") && shown.contains("https_proxy=http://"), "{shown}");
}

fn a_developer_sees_a_refusal(story: &mut Story, text: &str) {
    let [line] = lines(text);
    let (code, shown) = story.reader.on_a_terminal(line).end();
    assert_eq!(code, 0, "curl takes a body for an answer: {shown}");
    assert!(shown.contains("\"reason\":\"unlisted\"") && shown.contains("unlisted.example"), "{shown}");
    assert!(shown.contains("\"retryable\":false"), "it does not say whether a retry can help: {shown}");
    assert!(!story.reader.site.dns.was_asked("unlisted.example"));
}

fn an_engineer_writes_an_allowlist(story: &mut Story, text: &str) {
    let text = story.reader.meant(text);
    story.reader.site.allowlist("coder", &text);
}

fn an_engineer_writes_a_configuration(story: &mut Story, text: &str) {
    let text = format!("{}\n\n[dns]\nservers = [\"{}\"]\n", story.reader.meant(text), story.reader.site.dns.address);
    fs::write(story.reader.folder().join("origins.pem"), story.authority.signing().0).unwrap();
    fs::write(story.reader.folder().join("exeat.toml"), format!("{text}\n[upstream]\nca = \"origins.pem\"\n")).unwrap();
}

fn an_engineer_starts_it(story: &mut Story, text: &str) {
    let [check, token, serve] = lines(text);
    story.reader.said(check);
    story.url = story.reader.said(token).trim().to_owned();
    assert!(story.url.starts_with("http://coder:exeat_"), "{}", story.url);
    let serving = story.reader.start(serve);
    serving.expect(&format!("proxy main http://127.0.0.1:{}", story.free[0]));
    serving.expect(&format!("metrics http://127.0.0.1:{}/metrics", story.free[1]));
    story.serving = Some(serving);

    let curl = |proxy: &str, url: &str| story.reader.said(&format!("curl -sS --noproxy '' --proxy '{proxy}' {url}"));
    for path in ["livez", "readyz", "metrics"] {
        curl("", &format!("-f http://127.0.0.1:{}/{path}", story.free[1]));
    }
    let (url, port) = (story.url.as_str(), story.plain.port());
    assert_eq!(curl(url, &format!("http://api.openai.com:{port}/")), "reached api.openai.com\n");
    let because = curl(url, "http://gist.github.com/");
    assert!(because.contains("\"blocked\"") && because.contains("use the internal paste"), "{because}");
    assert!(curl(url, "http://elsewhere.example/").contains("\"unattended\""), "nobody watches, and it was not refused at once");
}

fn an_engineer_answers(story: &mut Story, text: &str) {
    let [watch, approve, approvals, revoke] = lines(text);
    let watching = story.reader.start(watch);
    watching.expect("watching");
    let target = format!("release.example:{}", story.secure.port());
    // The question of the attempt before waits for a later try; this one is answered, so that the tunnel is the only question.
    story.reader.said(&format!("exeat --config exeat.toml deny {}", story.first_id("holds")));
    let mut talk = story.talk();
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", story.credentials()));
    watching.expect("release.example");
    let id = story.first_id("holds");
    story.reader.said(&approve.replace("ID", &id));
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    let mut inside = talk.tls(&story.authority, "release.example").unwrap();
    inside.send("GET /in HTTP/1.1\r\nHost: release.example\r\n\r\n");
    assert_eq!(inside.answer().text(), "secure /in");
    let listed = story.reader.said(approvals);
    assert!(listed.contains("release.example") && listed.contains("release day"), "{listed}");

    let id = story.first_id("approvals");
    assert!(listed.contains(&id), "`approvals` does not show the id that `revoke` takes: {listed}");
    story.reader.said(&revoke.replace("ID", &id));
    assert!(inside.is_closed(), "the tunnel outlived the approval");
    story.watching = Some(watching);
    story.watching = None;
    // Who watched is gone: nobody can answer any more.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut answer = story.talk().connect(&target, &story.credentials());
    while answer.reason() != "unattended" && Instant::now() < deadline {
        answer = story.talk().connect(&target, &story.credentials());
    }
    assert_refused(&answer, 403, "unattended");
}

fn an_engineer_answers_in_a_browser(story: &mut Story, text: &str) {
    let [write, serve, ask] = lines(text);
    story.serving = None;
    story.reader.said(write);
    let mut terminal = story.reader.on_a_terminal(serve);
    terminal.expect(" (once, within");
    let link = word_after(&terminal.shown(), "page ");
    let page = format!("http://127.0.0.1:{}/", story.free[2]);
    assert!(link.starts_with(&format!("{page}#login=")), "{link}");
    if let Some(tools) = Tools::find() {
        let mut environment = story.reader.variables();
        let folder = story.reader.folder().display().to_string();
        let told =
            [("PAGE_LINK", link), ("PAGE_COMMAND", story.reader.meant(ask)), ("PAGE_FOLDER", folder), ("PAGE_SAYS", "secure /".to_owned())];
        environment.extend(told.map(|(name, value)| (name.to_owned(), value)));
        let environment: Vec<(&str, String)> = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        play_page("readme", &tools, &page, &environment);
    }
    terminal.press("\u{3}");
    terminal.end();
}

fn an_engineer_makes_an_authority(story: &mut Story, text: &str) {
    let [init, write] = lines(text);
    let said = story.reader.said(init);
    let told = write.trim_start_matches("printf '\\n").split('\'').next().unwrap().replace("\\n", "\n");
    assert!(told.lines().all(|line| said.contains(line)), "`ca init` says otherwise than {told}: {said}");
    story.reader.said(write);
}

fn an_engineer_adds_rules_about_requests(story: &mut Story, text: &str) {
    let file = story.reader.folder().join("allowlists/coder.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}\n{}\n", story.reader.meant(text))).unwrap();
    story.reader.said("exeat --config exeat.toml check");
}

fn an_engineer_looks_inside(story: &mut Story, text: &str) {
    let [explain, serve, ask] = lines(text);
    let explained = story.reader.ran(explain);
    let words = String::from_utf8_lossy(&explained.stdout);
    assert!(words.contains("hold: coder to DELETE https://api.example.com"), "{explained:?}");
    let serving = story.reader.start(serve);
    serving.expect(&format!("proxy main http://127.0.0.1:{}", story.free[0]));
    assert_eq!(story.reader.said(ask), "secure /repos/acme/site Bearer sesame");
}

fn a_security_engineer_looks(story: &mut Story, text: &str) {
    let [explain, blocks, summary, verify] = lines(text);
    let explained = story.reader.ran(explain);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert_eq!(explained.status.code(), Some(11), "{explained:?}");
    let kept = fs::read_to_string(story.reader.folder().join("allowlists/coder.toml")).unwrap();
    let line = |text: &str| kept.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    let [decides, other] = [line("[[block]]"), line("host = \"*.github.com\"") - 1].map(|line| format!("coder.toml:{line}"));
    assert!(words.contains("block") && words.contains(&decides), "{decides} is not named: {words}");
    let why = words.lines().find(|line| line.contains(&other)).unwrap_or_else(|| panic!("{other} is not named: {words}"));
    assert!(why.contains("it matches, but"), "it does not say why {other} does not decide: {why}");

    let shown = story.reader.said(blocks);
    assert!(shown.contains("gist.github.com") && !shown.contains("api.openai.com"), "{shown}");
    let told = story.reader.said(summary);
    assert!(told.contains("coder") && told.contains("api.openai.com") && told.contains("gist.github.com"), "{told}");
    let elsewhere = story.reader.folder().join("elsewhere");
    fs::copy(story.reader.folder().join("state/journal/proxy-1/checkpoints"), &elsewhere).unwrap();
    let sound = story.reader.said(&verify.replace("CHECKPOINTS", &elsewhere.display().to_string()));
    assert!(sound.starts_with("proxy-1: ") && !sound.contains("NOT"), "{sound}");
    let kept = journal(&story.reader.folder().join("state"));
    let passed = decided(&kept, "api.openai.com");
    assert_eq!(passed.len(), 1);
    assert_eq!(ended(&kept, &passed[0]["id"])["outcome"], "completed");
}
