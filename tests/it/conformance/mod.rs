//! How exeat speaks HTTP/2 and carries WebSocket where it looks into TLS, beside a run straight to the origin: every difference is in a table, with why.
//! And what flows through it for long.

mod flows;
mod h2;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::dns::Reply;
use crate::support::proxy::Proxy;
use crate::support::site::Site;
use crate::support::tls::{Authority, Terms};
use crate::support::visit::Way;
use crate::support::web::Web;

const HOST: &str = "web.test";

/// One origin, and agent `a`, who may ask it for everything, request by request.
struct World {
    site: Site,
    authority: Authority,
    web: Web,
}

impl World {
    fn new() -> Self {
        Self::at(|web| web)
    }

    /// As `new`, with the rule about the port that `port` makes of the origin's own.
    fn at(port: impl Fn(u16) -> u16) -> Self {
        let authority = Authority::new();
        let web = Web::secure(&authority.present(&Terms::of(&[HOST])));
        let mut site = Site::new();
        site.inspecting(&authority, &authority);
        site.set("limits", "peek", "\"15s\"");
        site.dns.script(HOST, [Reply::to(["127.0.0.1"])]);
        let port = port(web.port());
        let rule =
            format!("[[allow]]\nhost = \"{HOST}\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]\npath = [\"/**\"]\nwebsocket = true");
        site.agent("a", "", &rule);
        Self { site, authority, web }
    }

    fn way(&self, proxy: &Proxy, alpn: &[&str]) -> Way {
        Way::through(proxy.address, "a", HOST, self.web.port(), self.authority.trusting(alpn))
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance").join(file)
}

/// What two runs of a case showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Both {
    straight: String,
    through: String,
}

/// Compares the runs with a table of what differs or fails: `case`, straight, through, why. A row without a reason is none.
/// `EXEAT_TEST_WRITE=docs` writes the table, with the reasons that were there.
fn compare(table: &str, differing: &BTreeMap<String, Both>, tried: impl Fn(&str) -> bool) {
    let path = here(table);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    let why: BTreeMap<&str, &str> = rows.iter().map(|row| (row[0], row.get(3).copied().unwrap_or_default())).collect();
    if std::env::var("EXEAT_TEST_WRITE").as_deref() == Ok("docs") {
        let mut out = "# case, straight, through exeat, why\n".to_owned();
        for (case, Both { straight, through }) in differing {
            out += &format!("{case}\t{straight}\t{through}\t{}\n", why.get(case.as_str()).unwrap_or(&""));
        }
        return std::fs::write(path, out).unwrap();
    }
    let written: BTreeMap<String, Both> = rows
        .iter()
        .filter(|row| tried(row[0]))
        .map(|row| (row[0].to_owned(), Both { straight: row[1].to_owned(), through: row[2].to_owned() }))
        .collect();
    assert_eq!(*differing, written, "{table} is not what was seen");
    let unexplained: Vec<_> = why.iter().filter(|(_, why)| why.is_empty()).collect();
    assert!(unexplained.is_empty(), "no reason in {table}: {unexplained:?}");
}

#[test]
fn the_page_tells_every_difference_and_no_other() {
    let mut differences = BTreeSet::new();
    for table in ["h2.tsv", "sockets.tsv"] {
        let text = std::fs::read_to_string(here(table)).unwrap();
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
        let apart = rows.filter(|row| row[1] != row[2]);
        differences.extend(apart.map(|row| format!("| {} | `{}` | `{}` | {} |", row[0], row[1], row[2], row[3])));
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md")).unwrap();
    let told: BTreeSet<String> = page.lines().filter(|line| line.starts_with("| ") && line.contains("` | `")).map(str::to_owned).collect();
    assert_eq!(told, differences);
}
