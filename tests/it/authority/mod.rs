//! The certificate authority from outside: made, shown, rotated, taken up by a running exeat, and trusted by the clients that are installed here.

mod strict;
mod trust;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::proxy::exeat;
use crate::support::site::Site;
use crate::support::wait::until;

/// What a command did: its exit code, and all that it said.
fn ran(site: &Site, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = exeat(Some(&site.config())).args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn did(site: &Site, arguments: &[&str]) -> String {
    let (code, said) = ran(site, arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

fn shown(site: &Site) -> Value {
    serde_json::from_str(&ran(site, &["ca", "show", "--json"]).1).unwrap()
}

fn signers(shown: &Value) -> Vec<(String, bool)> {
    let one = |one: &Value| (one["subject"].as_str().unwrap().to_owned(), one["signs"].as_bool().unwrap());
    shown["certificates"].as_array().unwrap().iter().map(one).collect()
}

/// A place whose configuration names an authority in `certs/`, made or not.
fn inspecting() -> Site {
    let mut site = Site::new();
    site.set("inspect", "ca_cert", "\"certs/ca.pem\"");
    site.set("inspect", "ca_key", "\"certs/ca.key\"");
    site.agent("a", "", "");
    site
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_made_once_private_and_said_how_to_use() {
    let site = Site::new();
    let said = did(&site, &["ca", "init", "--name", "one"]);
    assert!(said.contains("[inspect]\nca_cert = \"certs/ca.pem\"\nca_key  = \"certs/ca.key\"\n"), "{said}");
    let certs = site.path().join("certs");
    assert_eq!((mode(&certs), mode(&certs.join("ca.key")), mode(&certs.join("ca.pem")) & 0o600), (0o700, 0o600, 0o600));
    let before = fs::read(certs.join("ca.key")).unwrap();
    let (code, said) = ran(&site, &["ca", "init"]);
    assert!(code == 1 && said.contains("is there already; pass --rotate"), "{said}");
    assert_eq!(fs::read(certs.join("ca.key")).unwrap(), before);
    let shown = shown(&site);
    assert_eq!((&shown["ok"], signers(&shown)), (&json!(true), vec![("CN=one".to_owned(), true)]));
    assert!((363..=365).contains(&shown["certificates"][0]["days_left"].as_i64().unwrap()), "{shown}");
    // What is said to be put into the file is what the file takes.
    did(&inspecting_at(site), &["check"]);
}

/// The same place, its configuration naming the authority.
fn inspecting_at(mut site: Site) -> Site {
    site.set("inspect", "ca_cert", "\"certs/ca.pem\"");
    site.set("inspect", "ca_key", "\"certs/ca.key\"");
    site.agent("a", "", "[[allow]]\nhost = \"api.example.test\"\nmethod = [\"GET\"]");
    site
}

#[test]
fn the_next_authority_is_known_before_it_signs() {
    let site = inspecting();
    did(&site, &["ca", "init", "--name", "one", "--permit", "example.test"]);
    did(&site, &["ca", "init", "--rotate", "--name", "two"]);
    assert_eq!(signers(&shown(&site)), [("CN=one".to_owned(), true), ("CN=two".to_owned(), false)]);
    let bundle = did(&site, &["ca", "bundle", "--ours"]);
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    let (code, said) = ran(&site, &["ca", "init", "--rotate"]);
    assert!(code == 1 && said.contains("--promote"), "{said}");
    let said = did(&site, &["ca", "init", "--promote"]);
    assert!(said.starts_with("CN=two signs from now on"), "{said}");
    let after = shown(&site);
    assert_eq!(signers(&after), [("CN=one".to_owned(), false), ("CN=two".to_owned(), true)]);
    // What the first was bound to, the next is bound to.
    assert_eq!(after["certificates"][0]["permitted"], json!(["example.test"]));
    assert_eq!(after["certificates"][1]["permitted"], after["certificates"][0]["permitted"]);
    assert_eq!(after["certificates"][1]["excluded"], after["certificates"][0]["excluded"]);
    assert!(!site.path().join("certs/ca.next.key").exists());
    assert_eq!(mode(&site.path().join("certs/ca.key")), 0o600);
    let (code, said) = ran(&site, &["ca", "init", "--promote"]);
    assert!(code == 1 && said.contains("--rotate"), "{said}");
    // The one that signs no more is left out of the third.
    did(&site, &["ca", "init", "--rotate", "--name", "three"]);
    assert_eq!(signers(&shown(&site)), [("CN=two".to_owned(), true), ("CN=three".to_owned(), false)]);
}

#[test]
fn a_running_exeat_tells_of_its_authority_and_takes_up_the_next() {
    let site = inspecting();
    did(&site, &["ca", "init", "--name", "one", "--days", "20"]);
    let proxy = site.start();
    let bundle = site.state().join("trust/ca-bundle.pem");
    let ours = |file: &str| fs::read_to_string(site.path().join(file)).unwrap();
    assert!(fs::read_to_string(&bundle).unwrap().starts_with(&ours("certs/ca.pem")));
    assert!(site.state().join("trust/truststore.p12").exists());
    let ends = proxy.metric("exeat_ca_not_after_seconds", &[]);
    let ready = proxy.readyz();
    assert!(ready.status == 200 && ready.text().contains("the certificate authority ends in 19 days"), "{}", ready.text());
    fs::set_permissions(site.path().join("certs/ca.key"), fs::Permissions::from_mode(0o644)).unwrap();
    hang_up(&proxy);
    until("the fault", || proxy.readyz().text().contains("chmod 600"));
    assert!(proxy.readyz().status == 200 && proxy.readyz().text().contains("the last good certificate authority stays"));
    fs::set_permissions(site.path().join("certs/ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
    did(&site, &["ca", "init", "--rotate", "--name", "two", "--days", "400"]);
    did(&site, &["ca", "init", "--promote"]);
    hang_up(&proxy);
    until("the next authority", || proxy.metric("exeat_ca_not_after_seconds", &[]) > ends + 300.0 * 86_400.0);
    until("its bundle", || fs::read_to_string(&bundle).unwrap().matches("BEGIN").count() >= 2);
}

#[test]
fn a_broken_authority_is_told_at_the_start_and_is_not_ready() {
    let site = inspecting();
    let proxy = site.start();
    let ready = proxy.readyz();
    assert!(ready.status == 503 && ready.text().contains("certs/ca.pem"), "{}", ready.text());
    assert!(proxy.stderr().contains("error: ") && proxy.stderr().contains("`exeat ca init`"), "{}", proxy.stderr());
    assert!(!proxy.metrics().contains("exeat_ca_not_after_seconds"));
}

#[test]
fn extra_roots_that_cannot_be_read_stop_the_start() {
    let mut site = inspecting();
    site.set("upstream", "ca", "\"extra.pem\"");
    fs::write(site.path().join("extra.pem"), "no certificate").unwrap();
    let (code, said) = ran(&site, &["serve"]);
    assert!(code == 1 && said.contains("extra.pem: found no certificate; wanted "), "{said}");
}

#[test]
fn what_the_script_in_certs_makes_is_an_authority() {
    let site = inspecting();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/make-ca.sh");
    let certs = site.path().join("certs");
    let made = Command::new("sh").arg(&script).arg(&certs).args(["--permit", "example.test"]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!((mode(&certs), mode(&certs.join("ca.key"))), (0o700, 0o600));
    let shown = shown(&site);
    assert_eq!((&shown["ok"], &shown["certificates"][0]["permitted"]), (&json!(true), &json!(["example.test"])), "{shown}");
    let again = Command::new("sh").arg(&script).arg(&certs).output().unwrap();
    assert!(!again.status.success());
    assert_eq!(site.start().readyz().status, 200);
}

#[test]
fn a_broken_authority_is_told_with_a_fix_that_works() {
    let site = inspecting();
    did(&site, &["ca", "init"]);
    let [cert, key] = ["certs/ca.pem", "certs/ca.key"].map(|file| site.path().join(file));
    let good = fs::read_to_string(&cert).unwrap();
    let (of_cert, of_key) = ("move it and its key away", "move it and the certificate away");
    for (file, text, fix) in
        [(&cert, "no PEM", of_cert), (&cert, "", of_cert), (&key, "no key", of_key), (&cert, &good[..good.len() / 2], of_cert)]
    {
        let kept = fs::read(file).unwrap();
        fs::write(file, text).unwrap();
        let (code, said) = ran(&site, &["check"]);
        assert!(code == 1 && said.contains(fix) && said.contains("`exeat ca init`"), "{said}");
        let away = |file: &Path| site.path().join(file.file_name().unwrap());
        for file in [&cert, &key] {
            fs::rename(file, away(file)).unwrap();
        }
        did(&site, &["ca", "init"]);
        did(&site, &["check"]);
        for file in [&cert, &key] {
            fs::rename(away(file), file).unwrap();
        }
        fs::write(file, kept).unwrap();
    }
}

#[test]
fn an_init_that_was_ended_between_key_and_certificate_is_told_as_that() {
    let site = inspecting();
    did(&site, &["ca", "init"]);
    fs::remove_file(site.path().join("certs/ca.pem")).unwrap();
    let (code, said) = ran(&site, &["ca", "init"]);
    assert!(code == 1 && said.contains("ca.key is there without ") && said.contains("remove it") && !said.contains("--rotate"), "{said}");
    fs::remove_file(site.path().join("certs/ca.key")).unwrap();
    did(&site, &["ca", "init"]);
    fs::remove_file(site.path().join("certs/ca.key")).unwrap();
    let (code, said) = ran(&site, &["ca", "init"]);
    assert!(code == 1 && said.contains("ca.pem is there without ") && !said.contains("--rotate"), "{said}");
    let (code, said) = ran(&site, &["ca", "init", "--rotate"]);
    assert!(code == 1 && !said.contains("found found"), "{said}");
}

#[test]
fn each_fault_of_the_authority_is_told_once_at_the_start() {
    let site = inspecting();
    did(&site, &["ca", "init"]);
    fs::write(site.path().join("certs/ca.key"), "no key").unwrap();
    let proxy = site.start();
    assert_eq!(proxy.readyz().status, 503);
    let told: Vec<_> = proxy.stderr().lines().filter(|line| line.contains("certs/ca.key: found ")).map(str::to_owned).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn half_of_inspect_names_the_file_it_is_missing_from() {
    for (key, other) in [("ca_cert", "ca_key"), ("ca_key", "ca_cert")] {
        let mut site = Site::new();
        site.set("inspect", key, "\"certs/x\"");
        let (code, said) = ran(&site, &["check"]);
        assert!(code == 1 && said.contains(&format!("exeat.toml: found [inspect] without {other}; wanted ")), "{said}");
    }
}

#[test]
fn the_repository_holds_no_key() {
    let listed = Command::new("git").args(["ls-files", "certs"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let files = String::from_utf8(listed.stdout).unwrap();
    for file in files.lines() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(!file.ends_with(".key") && !text.contains("PRIVATE KEY-----\nM"), "{file} holds a key");
    }
}

fn hang_up(proxy: &crate::support::proxy::Proxy) {
    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::HUP).unwrap();
}
