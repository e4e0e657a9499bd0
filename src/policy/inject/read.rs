//! `[[inject]]` as an agent's file writes it. What stands where a secret might have been pasted is never shown.

use std::sync::Arc;
use std::time::Duration;

use super::{Credential, Inject, SecretSource};
use crate::policy::attempt::Scheme;
use crate::policy::destination::{Destination, Port};
use crate::policy::document::{Item, Table, one_of};
use crate::policy::fault::{code, shown};
use crate::policy::host::Host;
use crate::policy::request::RequestRule;
use crate::policy::rule::RuleRef;
use crate::policy::rule::read::Source;
use crate::policy::rule::request;

/// How long what a command printed is used, where the file does not say.
const CACHE: Duration = Duration::from_secs(5 * 60);

/// The least and the most of it.
const CACHE_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

/// The most characters of a prefix, a placeholder, a path or a word of a command.
const TEXT_MAX: usize = 4096;

/// Fields that frame a message, belong to one connection or say where it goes (RFC 9110 sections 7.2 and 7.6.1; RFC 9112 section 6), and those exeat writes itself.
const NOT_CREDENTIALS: [&str; 20] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-type",
    "content-encoding",
    "expect",
    "via",
    "forwarded",
    "http2-settings",
    "range",
    "max-forwards",
    "x-http-method-override",
];

const SOURCES: &str = r#"value = { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM"], cache = "5m" }"#;

/// Reads one of them.
pub(in crate::policy) fn inject(source: Source<'_, '_>, mut table: Table<'_>) -> Option<Inject> {
    let place = RuleRef { file: source.document.file().clone(), line: table.line() };
    let written = table.require("host", r#"write host = "NAME", the one host the credential is for"#);
    let host = written.and_then(host);
    let schemes = [Scheme::Https, Scheme::Http].map(|scheme| (scheme.as_str(), scheme));
    let plain = table.take("scheme");
    let scheme = plain.map_or(Some(Scheme::Https), |item| item.parse("https or http", |text| one_of(&schemes, text)));
    let usual = if scheme == Some(Scheme::Http) { 80 } else { 443 };
    let port = table.take("port").map_or(Some(usual), |item| item.integer(1..=65535).and_then(|number| u16::try_from(number).ok()));
    let port = port.and_then(std::num::NonZeroU16::new).map(Port);
    let request = request(&mut table).map(|(request, _)| request);
    let mask = table.take("mask").and_then(Item::flag).unwrap_or(false);
    let credential = credential(&mut table);
    if let (Some(host), Some(Scheme::Http), Some(item)) = (&host, scheme, plain)
        && !is_loopback(host)
    {
        let fix = "leave scheme out: the credential is put in inside TLS";
        item.fault("scheme \"http\" for another host than this one", "https, or a loopback address such as 127.0.0.1", fix);
    }
    if let (Some(Credential::Certificate { .. }), Some(Scheme::Http)) = (&credential, scheme) {
        table.fault("a certificate where there is no TLS", "scheme https", "leave scheme out, or write header and value");
    }
    if scheme == Some(Scheme::Https) && !source.inspects {
        let found = "[[inject]] and no CA: requests inside TLS cannot be seen, so nothing can be put into them";
        table.fault(found, "a CA of exeat's own", "run `exeat ca init` and name what it made in [inspect] of exeat.toml");
    }
    if let (Some(item), Some(host)) = (written, &host)
        && unbound(request.as_ref())
    {
        let words = format!("the credential goes into every request the agent may send to {host}: name method and path to bind it");
        item.warn(code::UNBOUND_INJECT, words);
    }
    let destination = Destination { host: host?, port: port? };
    Some(Inject { place, destination, scheme: scheme?, request, credential: credential?, mask })
}

/// One of method and path alone leaves much; it is the writer's to judge.
fn unbound(request: Option<&RequestRule>) -> bool {
    request.is_none_or(|request| request.methods.is_empty() && request.paths.is_empty())
}

fn host(item: Item<'_>) -> Option<Host> {
    let text = item.text()?;
    if text.contains(['*', '?', '[', '{', '/']) && Host::parse(text).is_err() {
        let fix = "name one host; a second one has an [[inject]] of its own";
        item.fault(format!("{}, a pattern", shown(text)), "one host, exactly", fix);
        return None;
    }
    item.parse("one host, exactly", Host::parse)
}

/// A literal alone: what a name resolves to is others' to say.
fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(_) => false,
    }
}

fn credential(table: &mut Table<'_>) -> Option<Credential> {
    if let Some(mut certificate) = table.table("certificate") {
        for key in ["header", "value", "prefix", "placeholder"] {
            table.refuse(key, "either a certificate or a header", "write an [[inject]] for each");
        }
        let chain = certificate.require("chain", "write chain = \"PATH\" of the certificate, PEM").and_then(path);
        let key = certificate.require("key", "write key = \"PATH\" of its key, PEM").and_then(path);
        return Some(Credential::Certificate { chain: chain?, key: key? });
    }
    let name = table.require("header", r#"write header = "authorization", or certificate = { chain = "PATH", key = "PATH" }"#);
    let name = name.and_then(field);
    let value = value(table);
    let placeholder = table.take("placeholder").map(|item| item.secret().parse("the text that stands for the secret", visible));
    let prefix = table.take("prefix");
    if let (Some(item), Some(_)) = (prefix, &placeholder) {
        item.fault("prefix beside placeholder", "one of them", "remove prefix: the agent's own field has it before the placeholder");
    }
    let prefix = prefix.map_or_else(|| Some("".into()), |item| item.secret().parse("what stands before the secret", visible));
    let placeholder = match placeholder {
        Some(written) => Some(written?),
        None => None,
    };
    Some(Credential::Header { name: name?, prefix: prefix?, value: value?, placeholder })
}

/// A field name (RFC 9110 section 5.1) that may hold a credential.
fn field(item: Item<'_>) -> Option<Arc<str>> {
    item.secret().parse("the name of a header field", |text| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = text.to_ascii_lowercase();
        if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
            Err(r#"write one such as "authorization""#.to_owned())
        } else if NOT_CREDENTIALS.contains(&&*name) || name.starts_with("sec-websocket-") || name.starts_with("proxy-") {
            Err(format!("{name} holds no credential of an origin: name the field its API reads"))
        } else {
            Ok(Arc::from(name))
        }
    })
}

fn value(table: &mut Table<'_>) -> Option<SecretSource> {
    let item = table.require("value", &format!("write {SOURCES}"))?;
    if item.is_text() {
        let fix = format!("write {SOURCES}; if a secret stood here, change it");
        item.fault("a text in value (not shown)", "where the secret comes from, never itself", fix);
        return None;
    }
    let mut table = table.table("value")?;
    table.refuse("keyring", "env, file or command", r#"ask it with a command: command = ["secret-tool", "lookup", "service", "NAME"]"#);
    let env = table.take("env").map(|item| item.secret().parse("the name of a variable", variable).map(SecretSource::Env));
    let file = table.take("file").map(|item| path(item.secret()).map(SecretSource::File));
    let cache = table.take("cache");
    let command = table.take("command").map(|item| command(item, cache));
    if let (None, Some(item)) = (&command, cache) {
        item.fault("cache without command", "cache beside command", "remove it: a file is read again when it changes");
    }
    let mut found = [env, file, command].into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(one), None) => one,
        (first, _) => {
            let found = if first.is_some() { "more than one source of a value" } else { "a value from nowhere" };
            table.fault(found, "one of env, file and command", format!("write {SOURCES}"));
            None
        }
    }
}

fn command(item: Item<'_>, cache: Option<Item<'_>>) -> Option<SecretSource> {
    let cache = match cache {
        Some(item) => {
            let cache = item.duration()?;
            if cache < CACHE_BOUNDS.0 || cache > CACHE_BOUNDS.1 {
                item.wrong("a duration from 1s to 24h", "write one in that range");
                return None;
            }
            cache
        }
        None => CACHE,
    };
    let words = item.secret().filled_list("at least a program");
    let line: Option<Vec<Arc<str>>> = words.iter().map(|word| word.parse("a program or an argument", argument)).collect();
    let line = line?;
    if line.first().is_none_or(|program| program.is_empty()) {
        if !words.is_empty() {
            item.fault("a command without a program", "the program first", "write command = [\"PROGRAM\", \"ARGUMENT\"]");
        }
        return None;
    }
    Some(SecretSource::Command { line: line.into(), cache })
}

fn path(item: Item<'_>) -> Option<Arc<str>> {
    item.parse("a path", |text| if text.is_empty() { Err("name a file".to_owned()) } else { argument(text) })
}

/// POSIX.1-2024 section 8.1.
fn variable(text: &str) -> Result<Arc<str>, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if plain && begins && text.len() <= TEXT_MAX {
        Ok(text.into())
    } else {
        Err("write its name, of letters, digits and _; if a secret stood here, change it".to_owned())
    }
}

fn argument(text: &str) -> Result<Arc<str>, String> {
    if text.contains('\0') || text.len() > TEXT_MAX {
        Err(format!("write at most {TEXT_MAX} bytes, none of them NUL"))
    } else {
        Ok(text.into())
    }
}

/// What a header field may hold (RFC 9110 section 5.5), and something of it.
fn visible(text: &str) -> Result<Arc<str>, String> {
    let fits = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits && !text.trim().is_empty() && text.len() <= TEXT_MAX {
        Ok(text.into())
    } else {
        Err("write visible ASCII characters on one line, at least one".to_owned())
    }
}
