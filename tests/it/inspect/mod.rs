//! Inside TLS that exeat terminates: requests judged one by one, over HTTP/1.1 and HTTP/2, on the way in and on the way out.

mod bombs;
mod bounds;
mod ech;
mod ends;
mod floods;
mod frames;
mod refusing;
mod resumed;
mod rules;
mod sockets;
mod streams;
mod trust;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::proxy::{Proxy, decided, ended};
use crate::support::site::Site;
use crate::support::tls::{Authority, Terms};
use crate::support::visit::{Missed, Visit, Way, Whole};
use crate::support::web::body::Flow;
use crate::support::web::{Web, run};

const HOST: &str = "web.test";

/// Reading is allowed, writing to `/held` is asked about, and the rest is blocked.
const RULES: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = [\"GET\", \"HEAD\"]
[[hold]]
host = \"web.test\"
LOCAL
method = [\"POST\"]
path = [\"/held\"]
";

/// Everything is allowed, request by request.
const OPEN: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = [\"GET\", \"HEAD\", \"POST\", \"PUT\", \"DELETE\", \"OPTIONS\"]
";

const H1: &[&str] = &["http/1.1"];
const H2: &[&str] = &["h2", "http/1.1"];

/// What can be spoken on both sides: by the agent, and by its origin.
const SPOKEN: [(&[&str], &[&str]); 3] = [(H1, H1), (H2, H2), (H2, H1)];

struct World {
    site: Site,
    /// Signs what the agent sees.
    ours: Authority,
    /// Signs what origins show.
    origins: Authority,
    web: Web,
}

impl World {
    /// Agents `c` and `d` with the same rules, and an origin that speaks HTTP/2 and HTTP/1.1.
    fn new(rules: &str) -> Self {
        Self::speaking(rules, H2)
    }

    fn speaking(rules: &str, origin: &[&str]) -> Self {
        let (ours, origins) = (Authority::named("exeat"), Authority::named("origins"));
        let web = Web::secure(&origins.present(&Terms { alpn: origin, ..Terms::of(&[HOST]) }));
        let mut site = Site::new();
        site.inspecting(&ours, &origins);
        for name in [HOST, "other.test"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let world = Self { site, ours, origins, web };
        for agent in ["c", "d"] {
            world.rules(agent, rules);
        }
        world
    }

    fn rules(&self, agent: &str, rules: &str) {
        let local = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", self.web.port());
        self.site.agent(agent, "unlisted = \"block\"", &rules.replace("LOCAL", &local));
    }

    fn start(&self) -> Proxy {
        self.site.start()
    }

    fn way(&self, proxy: &Proxy, agent: &str, alpn: &[&str]) -> Way {
        Way::through(proxy.address, agent, HOST, self.web.port(), self.ours.trusting(alpn))
    }

    fn visit(&self, proxy: &Proxy, alpn: &[&str]) -> Visit {
        run(self.way(proxy, "c", alpn).visit()).unwrap_or_else(|missed| panic!("{missed:?}"))
    }
}

fn post(visit: &Visit, path: &str, body: &str) -> http::Request<Flow> {
    visit.request("POST", path).body(Flow::whole(body.to_owned())).unwrap()
}

#[track_caller]
fn assert_refused(answer: &Whole, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?} {}", answer.text());
    let problem = answer.json();
    assert_eq!((&problem["reason"], &problem["status"]), (&json!(reason), &json!(status)), "{problem}");
    assert_eq!(problem["error"], problem["detail"]);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("proxy-status").unwrap().starts_with("exeat; error="));
    assert!(problem["instance"].as_str().unwrap().contains(answer.header("exeat-attempt").unwrap()));
}

/// The requests found in tunnels, each with its end.
fn inner(records: &[Value]) -> Vec<(&Value, &Value)> {
    let all = decided(records, HOST).into_iter().filter(|record| !record["within"].is_null());
    all.map(|record| (record, ended(records, &record["id"]))).collect()
}

/// The tunnels, each with its end.
fn tunnels(records: &[Value]) -> Vec<(&Value, &Value)> {
    let all = decided(records, HOST).into_iter().filter(|record| record["within"].is_null());
    all.map(|record| (record, ended(records, &record["id"]))).collect()
}

#[test]
fn a_get_passes_and_a_post_is_refused_on_one_connection_whatever_is_spoken() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(RULES, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        assert_eq!(visit.alpn.as_deref(), Some(agent[0]));
        let page = run(visit.get("/page?secret=1")).unwrap();
        assert_eq!((page.status, page.text().as_str()), (200, "the page"));
        let refused = run(visit.ask(post(&visit, "/echo", "x"))).unwrap();
        assert_refused(&refused, 403, "unlisted");
        assert_eq!(refused.json()["method"], "POST");
        assert_eq!(run(visit.get("/page")).unwrap().status, 200);
        drop(visit);

        let seen = world.web.seen();
        assert_eq!(seen.len(), 2, "{seen:?}");
        let version = if origin[0] == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
        assert_eq!((seen[0].version.as_str(), seen[0].method.as_str(), seen[0].target.as_str()), (version, "GET", "/page?secret=1"));
        assert_eq!((seen[0].authority.clone(), seen[0].connection), (format!("{HOST}:{}", world.web.port()), seen[1].connection));
        assert_eq!(world.web.met().len(), 1, "one connection serves both: {:?}", world.web.met());

        let records = proxy.settled();
        let [(tunnel, end)] = tunnels(&records)[..] else { panic!("{records:?}") };
        assert_eq!((&tunnel["decision"], &tunnel["reason"]), (&json!("look"), &json!("inspect")));
        assert_eq!((&end["outcome"], &end["reason"], &end["address"]), (&json!("completed"), &json!("inspect"), &Value::Null));
        assert_eq!((&end["tls"]["inspected"], &end["tls"]["sni"], &end["tls"]["alpn"]), (&json!(true), &json!(HOST), &json!(agent)));
        let requests = inner(&records);
        assert_eq!(requests.len(), 3);
        for (request, _) in &requests {
            assert_eq!((&request["within"], &request["destination"]["scheme"]), (&tunnel["id"], &json!("https")));
        }
        let (allowed, passed) = requests[0];
        assert_eq!((&allowed["decision"], &allowed["request"]), (&json!("allow"), &json!({"method": "GET", "path": "/page"})));
        assert_eq!((&passed["outcome"], &passed["status"], &passed["bytes_down"]), (&json!("completed"), &json!(200), &json!(8)));
        assert_eq!((&passed["tls"]["inspected"], &passed["tls"]["sni"]), (&json!(true), &json!(HOST)));
        assert!(passed["ms"]["tls"].is_number() && passed["ms"]["dial"].is_number(), "{passed}");
        let (_, again) = requests[2];
        assert!(again["ms"]["tls"].is_null() && again["address"] == passed["address"], "the connection was there: {again}");
        let (blocked, refused) = requests[1];
        assert_eq!((&blocked["decision"], &refused["outcome"]), (&json!("block"), &json!("refused")));
        assert!(!records.iter().any(|record| record.to_string().contains("secret")), "a query is recorded");
    }
}

#[test]
fn nothing_is_resolved_or_dialled_for_what_is_not_admitted() {
    let world = World::new(RULES);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    assert_refused(&run(visit.ask(post(&visit, "/echo", "x"))).unwrap(), 403, "unlisted");
    assert!(!world.site.dns.was_asked(HOST) && world.web.met().is_empty());
}

#[test]
fn a_request_for_another_host_is_misdirected_and_the_next_one_is_not() {
    for alpn in [H1, H2] {
        let world = World::new(RULES);
        let proxy = world.start();
        let visit = world.visit(&proxy, alpn);
        let elsewhere = format!("other.test:{}", world.web.port());
        let request = if alpn == H2 {
            http::Request::get(format!("https://{elsewhere}/page"))
        } else {
            http::Request::get("/page").header("host", elsewhere)
        };
        let answer = run(visit.ask(request.body(Flow::whole("")).unwrap())).unwrap();
        assert_refused(&answer, 421, "name-mismatch");
        assert_eq!(run(visit.get("/page")).unwrap().status, 200);
        drop(visit);
        let records = proxy.settled();
        let requests: Vec<_> = decided(&records, HOST).into_iter().filter(|record| !record["within"].is_null()).collect();
        assert_eq!((&requests[0]["decision"], &requests[0]["reason"]), (&json!("block"), &json!("name-mismatch")));
        assert!(!world.site.dns.was_asked("other.test"));
    }
}

#[test]
fn an_authority_and_a_host_that_differ_are_malformed() {
    let world = World::new(RULES);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let request = visit.request("GET", "/page").header("host", "other.test").body(Flow::whole("")).unwrap();
    assert_refused(&run(visit.ask(request)).unwrap(), 400, "malformed");
    let request = visit.request("GET", "/page").header("host", format!("{HOST}:{}", world.web.port())).body(Flow::whole("")).unwrap();
    assert_eq!(run(visit.ask(request)).unwrap().status, 200);
}

#[test]
fn what_is_offered_is_what_both_sides_are_known_to_speak() {
    let world = World::speaking(OPEN, H1);
    let proxy = world.start();
    let none = world.visit(&proxy, &[]);
    assert_eq!((none.alpn.as_deref(), run(none.get("/page")).unwrap().status), (None, 200));
    let first = world.visit(&proxy, H2);
    assert_eq!((first.alpn.as_deref(), run(first.get("/page")).unwrap().status), (Some("h2"), 200));
    let second = world.visit(&proxy, H2);
    assert_eq!((second.alpn.as_deref(), run(second.get("/page")).unwrap().status), (Some("http/1.1"), 200), "it is known by now");
    let only = world.visit(&proxy, &["h2"]);
    assert_eq!((only.alpn.as_deref(), run(only.get("/page")).unwrap().status), (Some("h2"), 200));
    let other = run(world.way(&proxy, "d", H2).visit()).unwrap();
    assert_eq!(other.alpn.as_deref(), Some("h2"), "one agent learns nothing from another");
    match run(world.way(&proxy, "c", &["h3"]).visit()) {
        Err(Missed::Tls(_)) => {}
        Ok(_) | Err(Missed::Refused(_)) => panic!("h3 was taken"),
    }
}
