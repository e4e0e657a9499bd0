//! What a rule may say of a request holds inside TLS, whatever is spoken there; and origins are verified by what the system trusts.

use super::{H2, OPEN, SPOKEN, World, assert_refused};
use crate::support::proxy::Proxy;
use crate::support::visit::Whole;
use crate::support::web::body::Flow;
use crate::support::web::run;

const RULES: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = [\"GET\", \"HEAD\"]
path = [\"/pub/**\"]
[[allow]]
host = \"web.test\"
LOCAL
path = [\"/repo/info/refs\"]
query = { service = [\"git-upload-pack\"] }
[[block]]
host = \"web.test\"
path = [\"/pub/no\"]
";

#[test]
fn method_path_query_and_content_are_judged_inside_tls() {
    let rows = [
        ("GET", "/pub/a", "", None),
        ("HEAD", "/pub/a", "", None),
        ("POST", "/pub/a", "", Some("unlisted")),
        ("GET", "/private", "", Some("unlisted")),
        ("GET", "/pub/no", "", Some("blocked")),
        ("GET", "/pub/a/../no", "", Some("blocked")),
        ("GET", "/pub/a/%2e%2e/%6eo", "", Some("blocked")),
        ("GET", "/pub/../private", "", Some("unlisted")),
        ("GET", "/pub/a%2f..%2fno", "", Some("blocked")),
        ("GET", "/pub/a", "content", Some("blocked")),
        ("GET", "/repo/info/refs?service=git-upload-pack", "", None),
        ("GET", "/repo/info/refs?service=git-receive-pack", "", Some("unlisted")),
        ("GET", "/repo/info/refs?service=git-upload-pack&service=git-receive-pack", "", Some("unlisted")),
        ("GET", "/repo/info/refs", "", Some("unlisted")),
    ];
    for (agent, origin) in SPOKEN {
        let world = World::speaking(RULES, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        for (method, target, content, refused) in rows {
            let before = world.web.seen().len();
            let mut request = visit.request(method, target);
            if !content.is_empty() {
                request = request.header("content-length", content.len());
            }
            let request = request.body(Flow::whole(content)).unwrap();
            let answer = run(visit.ask(request)).unwrap();
            match refused {
                None => assert_eq!((answer.status, world.web.seen().len()), (200, before + 1), "{method} {target}: {}", answer.text()),
                Some(reason) => {
                    assert_refused(&answer, 403, reason);
                    assert_eq!(world.web.seen().len(), before, "{method} {target}");
                }
            }
        }
    }
}

/// What the page is to a proxy that was started after these words of a shell.
fn page(world: &World, before: Option<&str>) -> Whole {
    let proxy = Proxy::start_under(&world.site.config(), &world.site.state(), before);
    run(world.visit(&proxy, H2).get("/page")).unwrap()
}

#[test]
fn an_origin_is_believed_by_the_systems_roots() {
    let mut world = World::new(OPEN);
    let roots = world.site.path().join("system.pem");
    std::fs::rename(world.site.path().join("origins.pem"), &roots).unwrap();
    world.site.unset("upstream", "ca");
    assert_refused(&page(&world, Some("unset SSL_CERT_FILE SSL_CERT_DIR")), 502, "bad-certificate");
    let named = format!("unset SSL_CERT_DIR; export SSL_CERT_FILE='{}'", roots.display());
    assert_eq!(page(&world, Some(&named)).status, 200);
}
