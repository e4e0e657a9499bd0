//! A place to run the proxy in: a temporary folder with its configuration, a scripted name server, agents with tokens.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::dns::Dns;
use super::proxy::Proxy;
use super::tls::Authority;

/// The place. Every start of the proxy in it shares its state.
pub(crate) struct Site {
    folder: TempDir,
    /// The only name server the proxy knows.
    pub(crate) dns: Dns,
    settings: Vec<(String, String, String)>,
}

impl Site {
    /// A place without agents, with short limits.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("exeat-it-").unwrap();
        std::fs::create_dir(folder.path().join("allowlists")).unwrap();
        let dns = Dns::start();
        let servers = format!("[\"{}\"]", dns.address);
        let mut site = Self { folder, dns, settings: Vec::new() };
        site.set("listen.main", "address", "[\"127.0.0.1:0\"]");
        site.set("metrics", "address", "\"127.0.0.1:0\"");
        site.set("dns", "servers", &servers);
        site.set("dns", "timeout", "\"1s\"");
        site.set("drain", "time", "\"2s\"");
        site.set("hold", "wait", "\"20s\"");
        site.set("limits", "head_timeout", "\"2s\"");
        site.set("limits", "connect_timeout", "\"2s\"");
        site.set("limits", "peek", "\"2s\"");
        // Each refusal of a test is looked for; tests of floods set their own.
        site.set("limits", "refusal_records", "\"200000/s\"");
        site
    }

    /// Sets one key of `exeat.toml`; `value` is TOML.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: &str) {
        self.settings.retain(|(s, k, _)| (s.as_str(), k.as_str()) != (section, key));
        self.settings.push((section.to_owned(), key.to_owned(), value.to_owned()));
    }

    /// Leaves one key of `exeat.toml` out.
    pub(crate) fn unset(&mut self, section: &str, key: &str) {
        self.settings.retain(|(s, k, _)| (s.as_str(), k.as_str()) != (section, key));
    }

    /// Lets the proxy look into TLS with one authority, and trust the origins of another.
    pub(crate) fn inspecting(&mut self, ours: &Authority, origins: &Authority) {
        let (certificate, key) = ours.signing();
        for (name, text) in [("inspect.pem", certificate), ("inspect.key", key), ("origins.pem", origins.signing().0)] {
            let path = self.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        self.set("inspect", "ca_cert", "\"inspect.pem\"");
        self.set("inspect", "ca_key", "\"inspect.key\"");
        self.set("upstream", "ca", "\"origins.pem\"");
    }

    /// Writes an agent's allowlist: top-level keys, then tables. It is identified by `token(name)`.
    pub(crate) fn agent(&self, name: &str, keys: &str, tables: &str) {
        let digest = Sha256::digest(token(name)).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        self.allowlist(name, &format!("agent = \"{name}\"\n{keys}\n[[identify]]\ntoken = \"sha256:{digest}\"\n{tables}\n"));
    }

    /// Writes an allowlist as it is.
    pub(crate) fn allowlist(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(format!("allowlists/{name}.toml")), text).unwrap();
    }

    /// The folder all of it is in.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Journal, approvals, socket.
    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Writes `exeat.toml` and names it.
    pub(crate) fn config(&self) -> PathBuf {
        let mut text = "allowlists = \"allowlists\"\nstate = \"state\"\n".to_owned();
        let mut sections: Vec<&str> = self.settings.iter().map(|(section, ..)| section.as_str()).collect();
        sections.sort_unstable();
        sections.dedup();
        for section in sections {
            writeln!(text, "[{section}]").unwrap();
            for (_, key, value) in self.settings.iter().filter(|(s, ..)| s == section) {
                writeln!(text, "{key} = {value}").unwrap();
            }
        }
        let path = self.path().join("exeat.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts `exeat serve` and waits until it listens.
    pub(crate) fn start(&self) -> Proxy {
        Proxy::start(&self.config(), &self.state())
    }
}

/// An agent's token.
pub(crate) fn token(agent: &str) -> String {
    format!("exeat_{agent:a>43}")
}

/// The header line that offers an agent's own token.
pub(crate) fn credentials(agent: &str) -> String {
    offer(agent, &token(agent))
}

/// The header line that offers any name and token.
pub(crate) fn offer(name: &str, token: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", base64(format!("{name}:{token}").as_bytes()))
}

/// Base 64, for credentials.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = usize::try_from(group >> (18 - 6 * place) & 63).unwrap();
            text.push(if place > three.len() { '=' } else { char::from(DIGITS[digit]) });
        }
    }
    text
}

#[test]
fn base64_is_base64() {
    for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
