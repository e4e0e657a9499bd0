//! The variables by which clients learn whom to trust, and who has set one of them already.

use std::path::Path;

use crate::config::inspect;
use crate::config::trust::Trust;
use crate::tls::bundle::Bundle;

/// Names of a PEM file. Nearly all of them take it for the whole of what is trusted, so it holds the system's authorities as well.
///
/// `SSL_CERT_DIR` is not among them: who reads it reads `SSL_CERT_FILE` too.
const PEM: [&str; 22] = [
    "SSL_CERT_FILE",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CONDA_SSL_VERIFY",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "npm_config_cafile",
    "YARN_HTTPS_CA_FILE_PATH",
    "DENO_CERT",
    "BUNDLE_SSL_CA_CERT",
    "COMPOSER_CAFILE",
    "HEX_CACERTS_PATH",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "VAULT_CACERT",
    "CODEX_CA_CERTIFICATE",
    "PERL_LWP_SSL_CA_FILE",
];

/// Read by every JVM at its start. What stands there already stays, in front: of two that say the same the last one wins.
pub(in crate::cli) const JAVA: &str = "JAVA_TOOL_OPTIONS";

/// The variables that point at these files; `java_before` is what `JAVA_TOOL_OPTIONS` held.
pub(in crate::cli) fn variables(trust: &Trust, java_before: Option<&str>) -> Vec<(&'static str, String)> {
    let pem = trust.pem.display().to_string();
    let mut variables: Vec<(&'static str, String)> = PEM.iter().map(|name| (*name, pem.clone())).collect();
    let ours = format!("-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStoreType=PKCS12", java_word(&trust.java));
    let before = java_before.map(str::trim).filter(|before| !before.is_empty() && !before.contains(&ours));
    variables.push((JAVA, before.map_or(ours.clone(), |before| format!("{before} {ours}"))));
    variables
}

/// In one sentence, which variables of the caller name a file that holds what the bundle does not: ours win.
pub(in crate::cli) fn overruled(bundle: &Bundle, said: impl Fn(&str) -> Option<String>) -> Option<String> {
    let lost = |file: &Path| inspect::roots(file).is_ok_and(|roots| !bundle.holds(&roots));
    let other = |name: &&&str| said(name).is_some_and(|value| lost(Path::new(&value)));
    let names: Vec<&str> = PEM.iter().filter(other).copied().collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} {} set already and now {} exeat's bundle; what only the other file holds is not trusted: put it into [upstream] ca",
            names.join(", "),
            if names.len() == 1 { "was" } else { "were" },
            if names.len() == 1 { "names" } else { "name" }
        )
    })
}

/// A word of `JAVA_TOOL_OPTIONS`, which the JVM splits at spaces outside quotes.
fn java_word(path: &Path) -> String {
    let path = path.display().to_string();
    match (path.contains(char::is_whitespace), path.contains('"')) {
        (false, _) => path,
        (true, false) => format!("\"{path}\""),
        (true, true) => format!("'{path}'"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::tls::make::{self, Wanted};

    fn trust() -> Trust {
        Trust { pem: "/s/ca-bundle.pem".into(), java: "/s/truststore.p12".into() }
    }

    /// Once more, so that none is lost unseen.
    const WANTED: &str = "SSL_CERT_FILE NIX_SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE PIP_CERT CONDA_SSL_VERIFY GIT_SSL_CAINFO \
        CARGO_HTTP_CAINFO NODE_EXTRA_CA_CERTS NPM_CONFIG_CAFILE npm_config_cafile YARN_HTTPS_CA_FILE_PATH DENO_CERT BUNDLE_SSL_CA_CERT \
        COMPOSER_CAFILE HEX_CACERTS_PATH AWS_CA_BUNDLE CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE GRPC_DEFAULT_SSL_ROOTS_FILE_PATH VAULT_CACERT \
        CODEX_CA_CERTIFICATE PERL_LWP_SSL_CA_FILE";

    #[test]
    fn every_client_is_pointed_at_one_file() {
        let java = "-Djavax.net.ssl.trustStore=/s/truststore.p12 -Djavax.net.ssl.trustStoreType=PKCS12";
        let pem = WANTED.split(' ').map(|name| (name, "/s/ca-bundle.pem".to_owned()));
        let wanted: Vec<_> = pem.chain([("JAVA_TOOL_OPTIONS", java.to_owned())]).collect();
        assert_eq!(variables(&trust(), None), wanted);
    }

    #[test]
    fn what_a_jvm_was_told_before_stays_in_front_and_is_not_said_twice() {
        let of = |before: Option<&str>, trust: &Trust| variables(trust, before).pop().map(|(_, value)| value);
        let ours = of(None, &trust());
        assert_eq!(of(Some("-Xmx1g "), &trust()), ours.as_ref().map(|ours| format!("-Xmx1g {ours}")));
        assert_eq!(of(ours.as_deref(), &trust()), ours);
        let spaced = Trust { java: "/a b/t.p12".into(), ..trust() };
        assert!(of(None, &spaced).is_some_and(|value| value.contains("trustStore=\"/a b/t.p12\" ")));
    }

    #[test]
    fn a_variable_that_named_a_file_with_more_in_it_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let made =
            |name: &str| make::authority(&Wanted { name, days: 3, permit: &[], exclude: &[] }, SystemTime::now()).unwrap().certificate;
        let (ours, other) = (made("ours"), made("other"));
        let mut bundle = Bundle::default();
        for (file, text) in [("ours.pem", ours.clone()), ("more.pem", ours + &other), ("empty.pem", String::new())] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        bundle.add(inspect::roots(&folder.path().join("ours.pem")).unwrap());
        let at = |file: &str| Some(folder.path().join(file).display().to_string());
        let said = |name: &str| match name {
            "PIP_CERT" => at("more.pem"),
            "CURL_CA_BUNDLE" => at("ours.pem"),
            "DENO_CERT" => at("empty.pem"),
            "CONDA_SSL_VERIFY" => Some("true".to_owned()),
            _ => None,
        };
        let words = overruled(&bundle, said);
        assert!(words.as_deref().is_some_and(|words| words.starts_with("PIP_CERT was set already")), "{words:?}");
        assert_eq!(overruled(&bundle, |_| None), None);
    }
}
