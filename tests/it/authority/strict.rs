//! What `exeat ca init` makes, and the certificates that are signed with it, under the checks that Python 3.13 makes by itself.

use std::path::Path;
use std::process::Command;

use super::{did, inspecting};
use crate::clients::table::python;
use crate::support::proxy::Proxy;
use crate::support::site::token;

/// What Python says of the certificate that it is shown for `target` when it asks for `name`.
fn said(proxy: &Proxy, ca: &Path, target: &str, name: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/authority/strict.py");
    let mut command = Command::new(python());
    command.arg(script).args([&proxy.address.to_string(), &format!("a:{}", token("a"))]).arg(ca).args([target, name]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn what_is_shown_for_names_and_addresses_is_verified_strictly() {
    let probe = Command::new(python()).args(["-c", "import ssl; ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("EXEAT_TEST_CLIENTS").as_deref(), Ok("all"), "no Python that checks strictly");
        return eprintln!("NOTICE: no Python that checks strictly, strict checks are skipped");
    }
    let site = inspecting();
    did(&site, &["ca", "init"]);
    let rule =
        |host: &str| format!("[[allow]]\nhost = \"{host}\"\nmethod = [\"GET\"]\naddresses = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n");
    let hosts = ["web.test", "192.0.2.1", "[2001:db8::1]"];
    site.agent("a", "", &hosts.map(rule).concat());
    let proxy = site.start();
    let ca = site.path().join("certs/ca.pem");
    let table = [
        ("web.test:443", "web.test", "verified: (('DNS', 'web.test'),)"),
        ("192.0.2.1:443", "192.0.2.1", "verified: (('IP Address', '192.0.2.1'),)"),
        ("[2001:db8::1]:443", "2001:db8::1", "verified: (('IP Address', '2001:DB8:0:0:0:0:0:1'),)"),
    ];
    for (target, name, wanted) in table {
        assert_eq!(said(&proxy, &ca, target, name), wanted, "{target}");
    }
}
