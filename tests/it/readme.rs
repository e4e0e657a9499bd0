//! Every snippet of README.md is run as it stands there, in order. A snippet that no claim below names fails the test, and so does a claim without a snippet.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{Tools, play, word_after};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::p0::assert_refused;
use crate::support::proxy::{decided, ended, journal, ours};
use crate::support::pty::Terminal;
use crate::support::site::{Site, offer};
use crate::support::talk::Talk;
use crate::support::tls::Authority;

/// One claim a snippet, in the order of the README: how the snippet begins, and what runs it.
const CLAIMS: [(&str, Snippet); 13] = [
    ("sh examples/hello/run.sh", |_, text| assert_eq!(text, "sh examples/hello/run.sh", "hello.rs runs exactly this")),
    (".ci/run test", |_, text| assert_eq!(text, ".ci/run test", "this suite is what it runs")),
    ("exeat run --allow", a_developer_runs_an_agent),
    ("exeat run --unlisted block", a_developer_sees_a_refusal),
    ("agent    =", an_engineer_writes_an_allowlist),
    ("allowlists =", an_engineer_writes_a_configuration),
    ("exeat --config exeat.toml check", an_engineer_starts_it),
    ("exeat --config exeat.toml holds", an_engineer_answers),
    ("printf", an_engineer_answers_in_a_browser),
    ("exeat --config exeat.toml ca init", an_engineer_makes_an_authority),
    ("[[allow]]", an_engineer_adds_rules_about_requests),
    ("exeat --config exeat.toml explain coder 'DELETE", an_engineer_looks_inside),
    ("exeat --config exeat.toml explain", a_security_engineer_looks),
];

/// Runs a snippet of the story.
type Snippet = fn(&mut Story, &str);

/// The names of the README lead to origins on this machine, on ports that are free, so these words are added to the snippets that list them.
fn stand_ins(story: &Story, text: &str) -> String {
    let (port, here) = (story.plain.port(), "127.0.0.0/8");
    let ports = format!("port = [{port}, {}]\naddresses = [\"{here}\"]", story.secure.port());
    [
        // On a command line.
        ("exeat run ", format!("exeat run --addresses {here} ")),
        ("--allow api.openai.com", format!("--allow api.openai.com:{port}")),
        ("--allow '*.pythonhosted.example'", format!("--allow '*.pythonhosted.example:{port}'")),
        // In the allowlist.
        ("unlisted = \"hold\"", format!("unlisted = \"hold\"\naddresses = [\"{here}\"]")),
        ("host = \"api.openai.com\"", format!("host = \"api.openai.com\"\n{ports}")),
        // In the configuration.
        ("127.0.0.1:3128", format!("127.0.0.1:{}", story.free[0])),
        ("127.0.0.1:9464", format!("127.0.0.1:{}", story.free[1])),
        ("127.0.0.1:3129", format!("127.0.0.1:{}", story.free[2])),
        // In front of the browser.
        ("[[allow]]\nhost   = \"api.example.com\"", format!("[[allow]]\nhost = \"api.example.com\"\n{ports}")),
        ("[[inject]]\n", format!("[[inject]]\nport = {}\n", story.secure.port())),
        ("https://api.example.com/", format!("https://api.example.com:{}/", story.secure.port())),
        ("EXAMPLE_TOKEN=", "env EXAMPLE_TOKEN=".to_owned()),
        ("curl -sS https://example.com/", format!("curl -sSk --noproxy '' https://example.com:{}/", story.secure.port())),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (written, meant)| text.replace(written, &meant))
}

/// What a reader has in front of them: a folder, `exeat` and `my-agent` in the search path, names that resolve, and what ran so far.
struct Story {
    serving: Option<Background>,
    watching: Option<Background>,
    /// The proxy URL that `token` printed.
    url: String,
    site: Site,
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
        let story = Self { serving: None, watching: None, url: String::new(), site, plain, secure, authority, free: free_ports() };
        fs::create_dir(story.folder().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_exeat"), story.folder().join("bin/exeat")).unwrap();
        story
    }

    fn folder(&self) -> &Path {
        self.site.path()
    }

    /// The environment of every snippet; only `exeat run` has no `--config` of its own.
    fn environment(&self) -> Vec<(String, String)> {
        let path = format!("{}:{}", self.folder().join("bin").display(), std::env::var("PATH").unwrap());
        let config = self.folder().join("dns-only.toml");
        fs::write(&config, format!("state = \"run-state\"\n[dns]\nservers = [\"{}\"]\n", self.site.dns.address)).unwrap();
        [("PATH", path), ("EXEAT_CONFIG", config.display().to_string()), ("NO_COLOR", "1".into()), ("EXEAT_LOG", "error".into())]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        for name in ours() {
            command.env_remove(name);
        }
        let line = stand_ins(self, line);
        let exec = if line.starts_with("eval") { "" } else { "exec " };
        command.args(["-c", &format!("{exec}{line}")]).current_dir(self.folder()).envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a line to its end.
    fn ran(&self, line: &str) -> Output {
        self.shell(line).output().unwrap()
    }

    /// As `ran`, which must succeed; its standard output.
    fn said(&self, line: &str) -> String {
        let output = self.ran(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line at a terminal, as a person would.
    fn on_a_terminal(&self, line: &str) -> Terminal {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Terminal::run(&["sh", "-c", &stand_ins(self, line)], self.folder(), &environment)
    }

    fn credentials(&self) -> String {
        let (name, token) = self.url.strip_prefix("http://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
        offer(name, token)
    }

    fn talk(&self) -> Talk {
        Talk::to(self.url.rsplit('@').next().unwrap().parse().unwrap())
    }

    fn first_id(&self, listing: &str) -> String {
        let listed: Vec<Value> = serde_json::from_str(&self.said(&format!("exeat --config exeat.toml {listing} --json"))).unwrap();
        let id = listed[0].get("hold").filter(|id| id.is_string()).unwrap_or(&listed[0]["id"]);
        id.as_str().unwrap().to_owned()
    }
}

/// A line that goes on while later ones run.
struct Background {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Background {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, lines }
    }

    /// Waits for a line that holds `text`.
    fn expect(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => panic!("never printed {text:?}"),
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports() -> [u16; 3] {
    let all = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    all.map(|listener| listener.local_addr().unwrap().port())
}

/// The fenced blocks of the README.
fn snippets() -> Vec<String> {
    let text = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').map_or("", |(_language, body)| body).trim().to_owned()).collect()
}

/// The lines of a snippet, which must be as many as the test runs.
fn lines<const N: usize>(text: &str) -> [&str; N] {
    let lines: Vec<&str> = text.lines().collect();
    lines.try_into().unwrap_or_else(|lines: Vec<&str>| panic!("the test runs {N} lines, the README has {lines:#?}"))
}

#[test]
fn every_snippet_runs_and_does_what_the_words_around_it_say() {
    let snippets = snippets();
    assert_eq!(snippets.len(), CLAIMS.len(), "a snippet that no claim names, or a claim without a snippet: {snippets:#?}");
    let mut story = Story::new();
    for (snippet, (opening, run)) in snippets.iter().zip(CLAIMS) {
        assert!(snippet.starts_with(opening), "the README goes on with {snippet:?}, the test with {opening:?}");
        eprintln!("{opening}");
        run(&mut story, snippet);
    }
}

fn a_developer_runs_an_agent(story: &mut Story, text: &str) {
    let [line] = lines(text);
    let port = story.plain.port();
    let agent = ["api.openai.com", "files.pythonhosted.example", "elsewhere.example"]
        .map(|host| format!("curl -sS http://{host}:{port}/\n"))
        .concat();
    let program = story.folder().join("bin/my-agent");
    fs::write(&program, format!("#!/bin/sh\n{agent}env | grep -i _proxy=\nexit 7\n")).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let mut terminal = story.on_a_terminal(line);
    terminal.expect("elsewhere.example:");
    assert!(!story.site.dns.was_asked("elsewhere.example"));
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
    let (code, shown) = story.on_a_terminal(line).end();
    assert_eq!(code, 0, "curl takes a body for an answer: {shown}");
    assert!(shown.contains("\"reason\":\"unlisted\"") && shown.contains("unlisted.example"), "{shown}");
    assert!(shown.contains("\"retryable\":false"), "it does not say whether a retry can help: {shown}");
    assert!(!story.site.dns.was_asked("unlisted.example"));
}

fn an_engineer_writes_an_allowlist(story: &mut Story, text: &str) {
    let text = stand_ins(story, text);
    story.site.allowlist("coder", &text);
}

fn an_engineer_writes_a_configuration(story: &mut Story, text: &str) {
    let text = format!("{}\n\n[dns]\nservers = [\"{}\"]\n", stand_ins(story, text), story.site.dns.address);
    fs::write(story.folder().join("origins.pem"), story.authority.signing().0).unwrap();
    fs::write(story.folder().join("exeat.toml"), format!("{text}\n[upstream]\nca = \"origins.pem\"\n")).unwrap();
}

fn an_engineer_starts_it(story: &mut Story, text: &str) {
    let [check, token, serve] = lines(text);
    story.said(check);
    story.url = story.said(token).trim().to_owned();
    assert!(story.url.starts_with("http://coder:exeat_"), "{}", story.url);
    let serving = Background::start(story.shell(serve));
    serving.expect(&format!("proxy main http://127.0.0.1:{}", story.free[0]));
    serving.expect(&format!("metrics http://127.0.0.1:{}/metrics", story.free[1]));
    story.serving = Some(serving);

    let curl = |proxy: &str, url: &str| story.said(&format!("curl -sS --noproxy '' --proxy '{proxy}' {url}"));
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
    let watching = Background::start(story.shell(watch));
    watching.expect("watching");
    let target = format!("release.example:{}", story.secure.port());
    // The question of the attempt before waits for a later try; this one is answered, so that the tunnel is the only question.
    story.said(&format!("exeat --config exeat.toml deny {}", story.first_id("holds")));
    let mut talk = story.talk();
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", story.credentials()));
    watching.expect("release.example");
    let id = story.first_id("holds");
    story.said(&approve.replace("ID", &id));
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    let mut inside = talk.tls(&story.authority, "release.example").unwrap();
    inside.send("GET /in HTTP/1.1\r\nHost: release.example\r\n\r\n");
    assert_eq!(inside.answer().text(), "secure /in");
    let listed = story.said(approvals);
    assert!(listed.contains("release.example") && listed.contains("release day"), "{listed}");

    let id = story.first_id("approvals");
    assert!(listed.contains(&id), "`approvals` does not show the id that `revoke` takes: {listed}");
    story.said(&revoke.replace("ID", &id));
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
    story.said(write);
    let mut terminal = story.on_a_terminal(serve);
    terminal.expect(" (once, within");
    let link = word_after(&terminal.shown(), "page ");
    let page = format!("http://127.0.0.1:{}/", story.free[2]);
    assert!(link.starts_with(&format!("{page}#login=")), "{link}");
    if let Some(tools) = Tools::find() {
        let mut environment = story.environment();
        let folder = story.folder().display().to_string();
        let told =
            [("PAGE_LINK", link), ("PAGE_COMMAND", stand_ins(story, ask)), ("PAGE_FOLDER", folder), ("PAGE_SAYS", "secure /".to_owned())];
        environment.extend(told.map(|(name, value)| (name.to_owned(), value)));
        let environment: Vec<(&str, String)> = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        play("readme", &tools, &page, &environment);
    }
    terminal.press("\u{3}");
    terminal.end();
}

fn an_engineer_makes_an_authority(story: &mut Story, text: &str) {
    let [init, write] = lines(text);
    let said = story.said(init);
    let told = write.trim_start_matches("printf '\\n").split('\'').next().unwrap().replace("\\n", "\n");
    assert!(told.lines().all(|line| said.contains(line)), "`ca init` says otherwise than {told}: {said}");
    story.said(write);
}

fn an_engineer_adds_rules_about_requests(story: &mut Story, text: &str) {
    let file = story.folder().join("allowlists/coder.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}\n{}\n", stand_ins(story, text))).unwrap();
    story.said("exeat --config exeat.toml check");
}

fn an_engineer_looks_inside(story: &mut Story, text: &str) {
    let [explain, serve, ask] = lines(text);
    let explained = story.ran(explain);
    let words = String::from_utf8_lossy(&explained.stdout);
    assert!(words.contains("hold: coder to DELETE https://api.example.com"), "{explained:?}");
    let serving = Background::start(story.shell(serve));
    serving.expect(&format!("proxy main http://127.0.0.1:{}", story.free[0]));
    assert_eq!(story.said(ask), "secure /repos/acme/site Bearer sesame");
}

fn a_security_engineer_looks(story: &mut Story, text: &str) {
    let [explain, blocks, summary, verify] = lines(text);
    let explained = story.ran(explain);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert_eq!(explained.status.code(), Some(11), "{explained:?}");
    let kept = fs::read_to_string(story.folder().join("allowlists/coder.toml")).unwrap();
    let line = |text: &str| kept.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    let [decides, other] = [line("[[block]]"), line("host = \"*.github.com\"") - 1].map(|line| format!("coder.toml:{line}"));
    assert!(words.contains("block") && words.contains(&decides), "{decides} is not named: {words}");
    let why = words.lines().find(|line| line.contains(&other)).unwrap_or_else(|| panic!("{other} is not named: {words}"));
    assert!(why.contains("it matches, but"), "it does not say why {other} does not decide: {why}");

    let shown = story.said(blocks);
    assert!(shown.contains("gist.github.com") && !shown.contains("api.openai.com"), "{shown}");
    let told = story.said(summary);
    assert!(told.contains("coder") && told.contains("api.openai.com") && told.contains("gist.github.com"), "{told}");
    let elsewhere = story.folder().join("elsewhere");
    fs::copy(story.folder().join("state/journal/proxy-1/checkpoints"), &elsewhere).unwrap();
    let sound = story.said(&verify.replace("CHECKPOINTS", &elsewhere.display().to_string()));
    assert!(sound.starts_with("proxy-1: ") && !sound.contains("NOT"), "{sound}");
    let kept = journal(&story.folder().join("state"));
    let passed = decided(&kept, "api.openai.com");
    assert_eq!(passed.len(), 1);
    assert_eq!(ended(&kept, &passed[0]["id"])["outcome"], "completed");
}
