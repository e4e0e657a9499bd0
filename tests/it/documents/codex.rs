//! `docs/codex.md`: its allowlist loads, and its commands say what the page says they do.

use std::fs;

use super::reader::{Reader, free_ports};
use super::{Claim, play};
use crate::support::site::Site;

const PAGE: &str = "docs/codex.md";

pub(super) const CLAIMS: &[Claim<Reader>] = &[
    (PAGE, "agent    = \"codex\"", |reader, text| fs::write(reader.folder().join("allowlists/codex.toml"), text).unwrap()),
    (PAGE, "exeat check", |reader, text| {
        let serving = reader.start("exeat serve");
        serving.expect("proxy main ");
        let said = reader.said(text);
        for word in
            ["2 expectations hold", "HTTPS_PROXY='http://codex:exeat_", "allow: codex to git.corp.example:443", "\ncodex ", "proxy-1: "]
        {
            assert!(said.contains(word), "{word}: {said}");
        }
    }),
];

#[test]
fn the_checklist_proves_what_it_says() {
    let mut site = Site::new();
    let [port] = free_ports();
    site.set("listen.main", "address", &format!("\"127.0.0.1:{port}\""));
    let config = site.config().display().to_string();
    let mut reader = Reader::new(site);
    reader.environment.push(("EXEAT_CONFIG", config));
    play(CLAIMS, &mut reader);
}
