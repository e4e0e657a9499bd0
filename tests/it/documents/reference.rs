//! The commands of `docs/reference`, `certs` and `deploy/observability`, on a machine where they have something to show.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::reader::{Background, Reader, free_ports, lines};
use super::{Claim, play};
use crate::observability::prometheus_is_here;
use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::site::Site;
use crate::support::tls::Authority;

const PAGE: &str = "docs/reference/commands.md";
const HOLDS: &str = "docs/reference/holds.md";
const RECORDS: &str = "docs/reference/records.md";

/// In the order of an afternoon, with one `serve`.
pub(super) const COMMANDS: &[Claim<Afternoon>] = &[
    (PAGE, "exeat check allowlists", |day, text| assert!(day.reader.said(text).contains("1 agent, 0 errors"))),
    (PAGE, "exeat --config exeat.toml explain", |day, text| {
        let said = day.reader.said_with(text, 10);
        assert!(said.starts_with("hold: coder to new.example.com:443 (unlisted)\n") && said.contains("to allow it:"), "{said}");
    }),
    (PAGE, "exeat diff", a_change_is_compared),
    (PAGE, "exeat schema", |day, text| {
        day.reader.said(text);
        let schema: Value = serde_json::from_str(&day.reader.said("cat allowlist.schema.json")).unwrap();
        assert_eq!(schema["type"], "object");
    }),
    (PAGE, "mkdir -p ~/.local/share/man", |day, text| {
        day.reader.said(text);
        assert!(day.reader.said("ls ~/.local/share/man/man1").contains("exeat-serve"));
    }),
    (PAGE, "mkdir -p ~/.local/share/bash-completion", |day, text| {
        day.reader.said(text);
        assert!(day.reader.said("cat ~/.config/fish/completions/exeat.fish").contains("complete -c exeat"));
        assert!(day.reader.said("cat ~/.local/share/bash-completion/completions/exeat").contains("_exeat"));
    }),
    (PAGE, "exeat --config exeat.toml approver", |day, text| assert!(day.reader.said(text).starts_with("exeat-"))),
    (PAGE, "exeat --config exeat.toml token coder --hash", |day, text| {
        assert!(day.reader.said(text).starts_with("[[identify]]\ntoken = \"sha256:"));
    }),
    (PAGE, "exeat --config exeat.toml env --shell fish", |day, text| {
        let said = day.reader.said(text);
        let shown =
            ["set -gx HTTPS_PROXY 'http://127.0.0.1:", "set -gx NO_PROXY 'localhost,127.0.0.1,::1'", "set -gx NODE_USE_ENV_PROXY '1'"];
        assert!(shown.iter().all(|line| said.contains(line)), "{said}");
    }),
    (PAGE, "exeat run --allow", |day, text| assert_eq!(day.reader.said(text), "secure /")),
    (PAGE, "exeat preset show", |day, text| assert!(day.reader.said(text).starts_with("title   = \"Swift toolchains\"\n"))),
    (PAGE, "exeat --config exeat.toml serve", |day, text| {
        let serving = day.reader.start(text);
        serving.expect("proxy main http://127.0.0.1:");
        serving.expect("metrics http://127.0.0.1:");
        day.serving = Some(serving);
    }),
    (PAGE, "exeat --config exeat.toml holds", |day, text| {
        assert_eq!(day.asks("release.example"), "unattended");
        let said = day.reader.said(text);
        assert!(said.contains("coder (127.0.0.1)") && said.contains("release.example:"), "{said}");
    }),
    (PAGE, "exeat --config exeat.toml approve ", |day, text| {
        let said = day.reader.said(&text.replace("ee28ve", &day.question("release.example")));
        assert!(said.contains(": yes: coder (127.0.0.1) may reach release.example:") && said.contains("at 127.0.0.0/8"), "{said}");
        assert_eq!(day.asks("release.example"), "plain /");
    }),
    (PAGE, "exeat --config exeat.toml deny", |day, text| {
        assert_eq!(day.asks("never.example"), "unattended");
        let said = day.reader.said(&text.replace("6e0498", &day.question("never.example")));
        assert!(said.contains(": no: coder (127.0.0.1) may not reach never.example:"), "{said}");
        assert_eq!(day.asks("never.example"), "quiet");
    }),
    (PAGE, "exeat --config exeat.toml approvals", |day, text| {
        let said = day.reader.said(text);
        assert!(said.contains("release.example:") && said.contains("release day"), "{said}");
    }),
    (PAGE, "exeat --config exeat.toml revoke", |day, text| {
        let listed: Vec<Value> = serde_json::from_str(&day.reader.said("exeat approvals --json")).unwrap();
        let said = day.reader.said(&text.replace("ee28ve", listed[0]["hold"].as_str().unwrap()));
        assert!(said.starts_with("revoked: ") && said.contains("release.example:"), "{said}");
        assert_eq!(day.asks("release.example"), "unattended");
    }),
    (HOLDS, "exeat approve", |day, text| {
        assert_eq!(day.asks("once.example"), "unattended");
        let said = day.reader.said(&text.replace("a29j5w", &day.question("once.example")));
        assert!(said.contains("may reach once.example:") && said.contains(", once, "), "{said}");
    }),
    (HOLDS, "exeat approvals", |day, text| assert!(day.reader.said(text).contains("once.example:"))),
    (RECORDS, "exeat log --since", |day, text| {
        assert_eq!(day.asks("paste.example"), "blocked");
        let said = day.reader.said(text);
        assert!(said.contains("coder") && said.contains("paste.example:") && said.contains("coder.toml:"), "{said}");
    }),
    (RECORDS, "exeat log --summary", |day, text| {
        let said = day.reader.said(text);
        assert!(said.starts_with("coder: ") && said.contains("refused most: ") && said.contains("yes for  release.example:"), "{said}");
    }),
    ("docs/operations.md", "exeat check", |day, text| {
        let said = day.reader.said(text);
        let seen = ["1 agent, 0 errors", "AGENT ", "paste.example:", "refused most: ", "proxy-1: "];
        assert!(seen.iter().all(|word| said.contains(word)), "{said}");
    }),
    (PAGE, "exeat --config exeat.toml replay", |day, text| {
        let said = day.reader.said_with(text, 10);
        assert!(said.starts_with("NEWLY ALLOWED: ") && said.contains("release.example:"), "{said}");
    }),
    (PAGE, "exeat --config exeat.toml suggest", |day, text| {
        let [suggest, check, replay] = lines(text);
        day.reader.said(suggest);
        assert!(day.reader.said("cat suggestion.toml").contains("agent = \"coder\""));
        assert!(day.reader.said(check).contains("0 errors"));
        assert!(day.reader.said(replay).contains("unchanged: "));
    }),
    (PAGE, "exeat --config exeat.toml agents", |day, text| {
        let said = day.reader.said(text);
        assert!(said.starts_with("AGENT ") && said.contains("\ncoder "), "{said}");
    }),
    (PAGE, "$ exeat freeze", |day, text| {
        day.reader.plays(text);
        assert_eq!(day.asks("release.example"), "frozen");
    }),
    (PAGE, "exeat init", a_first_configuration_is_written),
    ("docs/reference/presets.md", "exeat preset show", |day, text| {
        day.reader.said(text);
        fs::write(day.reader.folder().join("allowlists/reads.toml"), "agent = \"reads\"\ninclude = [\"github\"]\n").unwrap();
        assert!(day.reader.said("exeat check allowlists/reads.toml").contains("0 errors"));
    }),
];

/// A machine with an agent, an origin, a name server and a running exeat.
pub(super) struct Afternoon {
    serving: Option<Background>,
    reader: Reader,
    plain: Origin,
    _secure: Origin,
    proxy: u16,
}

impl Afternoon {
    fn new() -> Self {
        let authority = Authority::new();
        let plain = Origin::http(|request| ok(&format!("plain {}", request.target())));
        let secure = Origin::https(&authority.identity(&["api.example.com"]), |request| ok(&format!("secure {}", request.target())));
        let mut site = Site::new();
        for name in ["api.example.com", "release.example", "never.example", "once.example", "paste.example"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let ([proxy], here) = (free_ports(), "127.0.0.0/8");
        site.set("listen.main", "address", &format!("\"127.0.0.1:{proxy}\""));
        site.set("listen.main", "agent", "\"coder\"");
        let tables = "[[allow]]\nhost = \"api.example.com\"\n[[block]]\nhost = \"paste.example\"\n";
        let coder = format!("agent = \"coder\"\nunlisted = \"hold\"\naddresses = [\"{here}\"]\n{tables}");
        site.allowlist("coder", &coder);
        let config = site.config().display().to_string();
        let mut reader = Reader::new(site);
        reader.environment.push(("EXEAT_CONFIG", config));
        reader.stand_ins = vec![
            ("exeat run --allow api.example.com", format!("exeat run --addresses {here} --allow api.example.com:{}", secure.port())),
            ("curl -sS https://api.example.com/", format!("curl -sSk https://api.example.com:{}/", secure.port())),
        ];
        Self { serving: None, reader, plain, _secure: secure, proxy }
    }

    /// Tries a host by the proxy: the page, or why not.
    fn asks(&self, host: &str) -> String {
        let said = self.reader.said(&format!("curl -sS --proxy http://127.0.0.1:{} http://{host}:{}/", self.proxy, self.plain.port()));
        let problem: Option<Value> = serde_json::from_str(&said).ok();
        problem.map_or(said, |problem| problem["reason"].as_str().unwrap().to_owned())
    }

    /// The question about a host.
    fn question(&self, host: &str) -> String {
        let listed: Vec<Value> = serde_json::from_str(&self.reader.said("exeat holds --json")).unwrap();
        let about = listed.iter().find(|hold| hold.to_string().contains(host)).unwrap_or_else(|| panic!("no question about {host}"));
        about["id"].as_str().unwrap().to_owned()
    }

    fn copy_of_the_allowlists(&self, to: &str, more: &str) {
        let text = fs::read_to_string(self.reader.folder().join("allowlists/coder.toml")).unwrap();
        fs::create_dir(self.reader.folder().join(to)).unwrap();
        fs::write(self.reader.folder().join(to).join("coder.toml"), format!("{text}{more}")).unwrap();
    }
}

fn a_change_is_compared(day: &mut Afternoon, text: &str) {
    day.copy_of_the_allowlists("allowlists.old", "[[allow]]\nhost = \"old.example.com\"\n");
    let port = day.plain.port();
    let rule = format!("[[allow]]\nhost = \"release.example\"\nport = {port}\naddresses = [\"127.0.0.0/8\"]\n");
    day.copy_of_the_allowlists("allowlists.new", &rule);
    let said = day.reader.said_with(text, 0);
    assert!(
        said.starts_with("coder:\n") && said.contains("- allow no more old.example.com on 80, 443 (allowlists.old/coder.toml:"),
        "{said}"
    );
}

fn a_first_configuration_is_written(day: &mut Afternoon, text: &str) {
    let [init, check, serve, shell] = lines(text);
    let here = Reader::new(Site::new());
    let [port] = free_ports();
    let mut here = Reader { environment: vec![("EXEAT_LISTEN_MAIN_ADDRESS", format!("127.0.0.1:{port}"))], ..here };
    here.stand_ins.clear();
    here.said(init);
    here.said(check);
    let serving = here.start(serve);
    serving.expect(&format!("proxy main http://127.0.0.1:{port}"));
    let said = here.said(&format!("{shell}; printenv HTTPS_PROXY"));
    assert_eq!(said.trim(), format!("http://127.0.0.1:{port}"));
    drop(serving);
    drop(day.serving.take());
}

/// Each block on a machine of its own.
pub(super) const AUTHORITIES: &[Claim<()>] = &[
    (PAGE, "exeat ca init --permit", |(), text| {
        let mut reader = with_a_configuration();
        reader.stand_ins.push(("/srv/agents", reader.folder().join("agents").display().to_string()));
        fs::create_dir(reader.folder().join("agents")).unwrap();
        let [init, bundle] = lines(text);
        made(&reader, init);
        reader.said(bundle);
        assert!(
            reader.said("cat agents/ca-bundle.pem").contains("BEGIN CERTIFICATE") && reader.folder().join("agents/truststore.p12").exists()
        );
    }),
    ("docs/reference/tls.md", "exeat ca init          #", |(), text| {
        let reader = with_a_configuration();
        let [init, show] = lines(text);
        made(&reader, init);
        assert!(reader.said(show).contains("exeat CA"));
    }),
    ("docs/reference/tls.md", "exeat ca init --permit", |(), text| {
        let reader = with_a_configuration();
        let said = made(&reader, text) + &reader.said("exeat ca show");
        assert!(["example.com", "10.20.0.0/16", "bank.example.com"].iter().all(|name| said.contains(name)), "{said}");
    }),
    ("certs/README.md", "exeat ca init", |(), text| {
        let [plain, bound, show] = lines(text);
        for init in [plain, bound] {
            let reader = with_a_configuration();
            made(&reader, init);
            assert_eq!(reader.said(show).contains("example.com"), init == bound);
        }
    }),
    ("certs/README.md", "./make-ca.sh", |(), text| {
        let mut reader = with_a_configuration();
        reader.stand_ins.push(("./make-ca.sh", format!("{}/certs/make-ca.sh", env!("CARGO_MANIFEST_DIR"))));
        reader.stand_ins.push(("/etc/exeat", reader.folder().display().to_string()));
        reader.said(text);
        assert!(reader.said("exeat ca show").contains("example.com"));
    }),
];

fn with_a_configuration() -> Reader {
    let mut site = Site::new();
    site.set("inspect", "ca_cert", "\"certs/ca.pem\"");
    site.set("inspect", "ca_key", "\"certs/ca.key\"");
    let config = site.config().display().to_string();
    let mut reader = Reader::new(site);
    reader.environment.push(("EXEAT_CONFIG", config));
    reader
}

fn made(reader: &Reader, init: &str) -> String {
    let said = reader.said(init);
    assert!(reader.folder().join("certs/ca.pem").exists() && reader.folder().join("certs/ca.key").exists(), "{said}");
    said
}

/// What Prometheus' own tool says of the rules.
pub(super) const ALERTS: &[Claim<()>] = &[("deploy/observability/README.md", "$ promtool check rules", |(), text| {
    if prometheus_is_here() {
        let commands = text.replace("$ ", "");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/observability");
        let output = Command::new("sh").args(["-e", "-c", &commands]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
})];

#[test]
fn every_command_of_the_reference_does_what_the_page_says() {
    play(COMMANDS, &mut Afternoon::new());
}

#[test]
fn every_way_to_an_authority_leads_to_one() {
    play(AUTHORITIES, &mut ());
}

#[test]
fn the_alerts_are_checked_as_their_page_says() {
    play(ALERTS, &mut ());
}
