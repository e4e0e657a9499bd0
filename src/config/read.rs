//! Reads the tables of `exeat.toml` into a draft. Keys that a later version gives a meaning are faults that say so.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::attempt::AgentId;
use crate::policy::document::{Item, Table};
use crate::policy::host::Host;

use super::AdminHost;
use super::draft::{Draft, Place};
use super::{export, inspect};

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLION: i64 = 1_000_000;
const AN_ADDRESS: &str = "an address and a port";

/// What is read: its name, and what paths in it are relative to.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    /// The file, or the variable.
    pub(super) name: Arc<str>,
    /// The folder of the file; `None` for a variable, whose paths are absolute.
    pub(super) base: Option<&'a Path>,
    /// What `~` stands for.
    pub(super) home: Option<&'a Path>,
}

impl Origin<'_> {
    fn place(&self, line: u32) -> Place {
        Place { file: self.name.clone(), line: if self.base.is_some() { line } else { 0 } }
    }

    pub(super) fn path(&self, text: &str) -> Result<PathBuf, &'static str> {
        if text.is_empty() || text.contains('\0') {
            return Err("name a folder, or of floor a file");
        }
        if text == "~" || text.starts_with("~/") {
            let home = self.home.ok_or("~ stands for nothing where HOME is not set: write an absolute path")?;
            return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
        }
        if text.starts_with('~') {
            return Err("only ~/ is known, no other user's folder");
        }
        match self.base {
            Some(base) => Ok(base.join(text)),
            None if Path::new(text).is_absolute() => Ok(text.into()),
            None => Err("begin it with / or ~/: there is no file it could be relative to"),
        }
    }
}

/// Reads one document: the file, or what one variable stands for. What it says replaces what the draft has.
pub(super) fn read(mut root: Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    if let Some(path) = path(&mut root, "allowlists", origin) {
        draft.allowlists = Some(path);
    }
    if let Some(path) = path(&mut root, "floor", origin) {
        draft.floor = Some(path);
    }
    if let Some(path) = path(&mut root, "state", origin) {
        draft.state = Some(path);
    }
    for table in root.named_tables("listen") {
        listen(table, origin, draft);
    }
    if let Some(mut table) = root.table("admin") {
        let place = origin.place(table.line());
        if let Some(item) = table.take("address") {
            draft.admin = item.parse(AN_ADDRESS, socket).map(|address| (address, place));
        }
        if let Some(item) = table.take("hosts") {
            draft.admin_hosts = item.list().into_iter().filter_map(|item| item.parse("a name of the listener", admin_host)).collect();
        }
    }
    if let Some(mut table) = root.table("metrics") {
        let place = origin.place(table.line());
        if let Some(item) = table.require("address", "write address = \"127.0.0.1:9464\"") {
            draft.metrics = item.parse(AN_ADDRESS, socket).map(|address| (address, place));
        }
    }
    if let Some(mut table) = root.table("drain") {
        set(&mut draft.drain.time, duration(&mut table, "time", Duration::ZERO, HOUR));
        set(&mut draft.drain.notice, duration(&mut table, "notice", Duration::ZERO, 5 * MINUTE));
    }
    if let Some(table) = root.table("hold") {
        hold(table, origin, draft);
    }
    if let Some(mut table) = root.table("dns") {
        if let Some(item) = table.take("servers") {
            draft.dns.servers = item.list().into_iter().filter_map(|item| item.parse("a name server's address", server)).collect();
        }
        set(&mut draft.dns.timeout, duration(&mut table, "timeout", MILLI, MINUTE));
    }
    inspect::read(&mut root, origin, draft);
    if let Some(mut table) = root.table("guard")
        && let Some(item) = table.take("never")
    {
        draft.never = item.list().into_iter().filter_map(|item| item.parse("an address or a network", network)).collect();
    }
    if let Some(table) = root.table("limits") {
        limits(table, draft);
    }
    if let Some(table) = root.table("journal") {
        export::journal(table, origin, draft);
    }
    if let Some(item) = root.table("store").and_then(|mut table| table.take("url"))
        && item.text().is_some_and(|url| url != "sqlite")
    {
        item.wrong("sqlite", "write url = \"sqlite\", or leave it out: approvals are kept in `state`");
    }
    if let Some(table) = root.table("telemetry") {
        export::telemetry(table, origin, draft);
    }
}

fn listen(mut table: Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    table.not_yet(&["tls", "proxy_protocol", "dns"]);
    let name = table.key();
    // The name stands in rules (`listener`) and in variables, where `_` is its `-`.
    if AgentId::parse(name).is_err() {
        table.fault(format!("a listener's name in {} that is none", table.title()), "1 to 63 of a-z, 0-9 and -", "rename it");
    }
    let listener = draft.listener(name, origin.place(table.line()));
    if let Some(item) = table.take("address") {
        listener.addressed = true;
        let items = item.filled_list("at least one address");
        listener.addresses = items.into_iter().filter_map(|item| item.parse(AN_ADDRESS, socket)).collect();
    }
    if let Some(item) = table.take("agent") {
        listener.agent = item.parse("an agent's name", AgentId::parse);
    }
    if let Some(item) = table.take("known_as") {
        listener.known_as = item.list().into_iter().filter_map(|item| item.parse("a host", Host::parse)).collect();
    }
    if let Some(item) = table.take("transparent") {
        match item.flag() {
            Some(true) if !cfg!(target_os = "linux") => {
                item.wrong("false", "leave it out: only Linux tells where a connection was redirected from")
            }
            flag => set(&mut listener.transparent, flag),
        }
    }
}

fn hold(mut table: Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    table.not_yet(&["notify", "reviewer"]);
    let hold = &mut draft.hold;
    set(&mut hold.wait, duration(&mut table, "wait", MILLI, HOUR));
    set(&mut hold.pending, duration(&mut table, "pending", MILLI, 30 * DAY));
    set(&mut hold.per_agent, number(&mut table, "per_agent", MILLION));
    set(&mut hold.per_source, number(&mut table, "per_source", MILLION));
    set(&mut hold.quiet_after_deny, duration(&mut table, "quiet_after_deny", Duration::ZERO, 30 * DAY));
    if let Some(item) = table.take("total")
        && let Some(total) = whole(item, MILLION)
    {
        draft.total = Some(origin.place(item.line()));
        hold.total = total;
    }
}

fn limits(mut table: Table<'_>, draft: &mut Draft) {
    let limits = &mut draft.limits;
    let head = size(&mut table, "head", 8 << 10, 1 << 20).and_then(|head| usize::try_from(head).ok());
    set(&mut limits.head, head);
    set(&mut limits.head_timeout, duration(&mut table, "head_timeout", MILLI, HOUR));
    set(&mut limits.connect_timeout, duration(&mut table, "connect_timeout", MILLI, HOUR));
    set(&mut limits.idle, duration(&mut table, "idle", MILLI, 30 * DAY));
    set(&mut limits.peek, duration(&mut table, "peek", MILLI, MINUTE));
    set(&mut limits.connections, number(&mut table, "connections", MILLION));
    set(&mut limits.per_agent, number(&mut table, "per_agent", MILLION));
    set(&mut limits.per_source, number(&mut table, "per_source", MILLION));
    if let Some(item) = table.take("refusal_records") {
        set(&mut limits.refusal_records, item.parse("refusals a second", a_second));
    }
}

fn a_second(text: &str) -> Result<u32, &'static str> {
    let number = text.strip_suffix("/s").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|number| number.parse().ok())
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or("write a number from 1 to 1000000 and /s, like \"200/s\"")
}

pub(super) fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

pub(super) fn path(table: &mut Table<'_>, key: &'static str, origin: &Origin<'_>) -> Option<PathBuf> {
    table.take(key)?.parse("a path", |text| origin.path(text))
}

fn number(table: &mut Table<'_>, key: &'static str, most: i64) -> Option<usize> {
    whole(table.take(key)?, most)
}

fn whole(item: Item<'_>, most: i64) -> Option<usize> {
    item.integer(1..=most).and_then(|number| usize::try_from(number).ok())
}

pub(super) fn duration(table: &mut Table<'_>, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
    let item = table.take(key)?;
    let words = || format!("a duration from {} to {}", spelled(least), spelled(most));
    within(item, item.duration()?, (least, most), words)
}

pub(super) fn size(table: &mut Table<'_>, key: &'static str, least: u64, most: u64) -> Option<u64> {
    let item = table.take(key)?;
    within(item, item.size()?, (least, most), || format!("a size from {}KiB to {}KiB", least >> 10, most >> 10))
}

fn within<T: PartialOrd>(item: Item<'_>, value: T, range: (T, T), words: impl FnOnce() -> String) -> Option<T> {
    if value < range.0 || value > range.1 {
        item.wrong(&words(), "write one in that range");
        return None;
    }
    Some(value)
}

fn spelled(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "0s".to_owned(),
        millis if millis < 1000 => format!("{millis}ms"),
        millis if millis % 86_400_000 == 0 => format!("{}d", millis / 86_400_000),
        millis => format!("{}s", millis / 1000),
    }
}

fn socket(text: &str) -> Result<SocketAddr, &'static str> {
    if text.starts_with("unix:") {
        return Err("write ip:port: a unix socket comes with a later version");
    }
    text.parse().map_err(|_| "write ip:port, like 127.0.0.1:3128 or [::1]:3128; names are not looked up")
}

fn admin_host(text: &str) -> Result<AdminHost, &'static str> {
    const FIX: &str = "write the host as a browser's address line shows it, like exeat.corp.example or exeat.corp.example:8443";
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') && !name.contains(':') || text.starts_with('[') && !text.ends_with(']') => {
            (name, Some(port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(FIX)?))
        }
        Some(_) | None => (text, None),
    };
    let host = Host::parse(name).map_err(|_| FIX)?;
    let bare = match &host {
        Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Host::Address(_) | Host::Name(_) => host.to_string(),
    };
    Ok(AdminHost { host, written: port.map_or(bare.clone(), |port| format!("{bare}:{port}")).into() })
}

fn server(text: &str) -> Result<SocketAddr, &'static str> {
    let with_port = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let address = text.parse().or_else(|_| with_port()).map_err(|_| "write an ip, like 10.0.0.2, or ip:port")?;
    if address.port() == 0 { Err("a name server has a port") } else { Ok(address) }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| "write an ip or a CIDR, like 10.96.0.0/12")
}
