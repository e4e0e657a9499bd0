//! Chromium and an origin that exeat looks into: it is told whom to trust as the documentation tells people, and shows what it makes of the leaf.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Tools, skipped};
use crate::documents::{Claim, play};
use crate::support::dns::Reply;
use crate::support::proxy::{Proxy, decided, exeat};
use crate::support::site::{Site, token};
use crate::support::tls::{Authority, Terms};
use crate::support::web::Web;

const HOST: &str = "web.test";

/// Reading is allowed, `/held` is asked about, and other writing is blocked.
const RULES: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = \"GET\"
websocket = true
[[hold]]
host = \"web.test\"
LOCAL
method = \"POST\"
path = \"/held\"
";

/// How Chromium is told.
pub(crate) const CLAIMS: &[Claim<World>] = &[("docs/reference/tls.md", "exeat ca bundle --ours", |world, text| {
    let binary = Path::new(env!("CARGO_BIN_EXE_exeat")).parent().unwrap().display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", text]).env("PATH", path).env("EXEAT_CONFIG", world.site.config());
    let output = command.env("HOME", world.site.path()).current_dir(world.site.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
})];

/// An origin, an exeat that looks into it by an authority of its own making, and a home folder.
pub(crate) struct World {
    site: Site,
    web: Web,
}

impl World {
    /// With an authority that `exeat ca init` has made.
    fn new(constraints: &[&str]) -> Self {
        let origins = Authority::named("origins");
        let web = Web::secure(&origins.present(&Terms::of(&[HOST])));
        let mut site = Site::new();
        site.inspecting(&origins, &origins);
        site.set("inspect", "ca_cert", "\"certs/ca.pem\"");
        site.set("inspect", "ca_key", "\"certs/ca.key\"");
        site.set("hold", "wait", "\"60s\"");
        site.dns.script(HOST, [Reply::to(["127.0.0.1"])]);
        let local = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", web.port());
        site.agent("a", "", &RULES.replace("LOCAL", &local));
        let output = exeat(Some(&site.config())).args(["ca", "init"]).args(constraints).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self { site, web }
    }

    /// What the page had of its origin, once somebody has said yes to what it asks.
    fn had(&self, tools: &Tools, proxy: &Proxy, switches: &str) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser/inspected.mjs");
        let mut command = Command::new("node");
        command.arg(script).env("HOME", self.site.path()).env("PAGE_SWITCHES", switches);
        command.env("PAGE_CHROMIUM", tools.chromium).env("PAGE_PLAYWRIGHT", &tools.playwright);
        command.env("PAGE_URL", format!("https://{HOST}:{}", self.web.port())).env("PAGE_PROXY", format!("http://{}", proxy.address));
        command.env("PAGE_AGENT", "a").env("PAGE_TOKEN", token("a"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut last = lines.next().unwrap_or_default();
        if last == "asks" {
            let id = proxy.until_held(1, 1)[0]["id"].as_str().unwrap().to_owned();
            assert!(!self.web.seen().iter().any(|seen| seen.target == "/held"), "it went out before the answer");
            proxy.said(&["approve", &id]);
            last = lines.next().unwrap_or_default();
        }
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{last}\n{said}");
        serde_json::from_str(&last).unwrap_or_else(|error| panic!("{error} in {last:?}\n{said}"))
    }
}

fn find() -> Option<Tools> {
    let tools = Tools::find()?;
    let here = Command::new("certutil").arg("-H").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    skipped("certutil (libnss3-tools)", here);
    here.then_some(tools)
}

#[test]
fn chromium_takes_a_leaf_of_an_authority_it_knows_and_a_page_works_as_if_nobody_looked() {
    let Some(tools) = find() else { return };
    for (switches, constraints, protocol) in [("", &[][..], "h2"), ("--disable-http2", &["--permit", HOST][..], "http/1.1")] {
        let mut world = World::new(constraints);
        play(CLAIMS, &mut world);
        let proxy = world.site.start();
        let _watcher = proxy.watch();
        let mut had = world.had(&tools, &proxy, switches);
        let (blocked, held) = (had["blocked"]["body"].take(), had["held"]["body"].take());
        let issuer = had["page"]["issuer"].take();
        let wanted = json!({
            "page": {"status": 200, "text": "the page", "issuer": null, "subject": ""},
            "protocol": protocol,
            "socket": {"said": ["one", "two"], "code": 1000},
            "blocked": {"status": 403, "type": "application/problem+json", "body": null},
            "held": {"status": 200, "type": "application/json", "body": null},
        });
        assert_eq!(had, wanted);
        assert!(issuer.as_str().unwrap().starts_with("exeat CA"), "{issuer}");
        assert_eq!((&blocked["reason"], &blocked["status"], &blocked["method"]), (&json!("unlisted"), &json!(403), &json!("POST")));
        assert!(blocked["detail"].as_str().unwrap().contains("egress policy"), "{blocked}");
        assert_eq!((&held["method"], &held["target"], &held["length"]), (&json!("POST"), &json!("/held"), &json!(1)));
        let records = proxy.settled();
        let of = |path: &str| *decided(&records, HOST).iter().find(|record| record["request"]["path"] == path).unwrap();
        let words = ["/page", "/ws", "/echo", "/held"].map(|path| (of(path)["decision"].clone(), of(path)["reason"].clone()));
        let [allow, block] = [json!("allow"), json!("block")];
        let listed = (allow.clone(), json!("listed"));
        assert_eq!(words, [listed.clone(), listed, (block, json!("unlisted")), (allow, json!("approved"))]);
        // RFC 8441 has the socket in a stream beside the page's, RFC 6455 on a connection of its own.
        assert_eq!(of("/ws")["within"] == of("/page")["within"], protocol == "h2");
    }
}

#[test]
fn chromium_refuses_a_leaf_of_an_authority_it_does_not_know() {
    let Some(tools) = find() else { return };
    let world = World::new(&[]);
    let proxy = world.site.start();
    assert_eq!(world.had(&tools, &proxy, ""), json!({"error": "net::ERR_CERT_AUTHORITY_INVALID"}));
    assert!(world.web.seen().is_empty());
}
