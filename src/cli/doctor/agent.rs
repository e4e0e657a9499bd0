//! `exeat doctor --from-agent`: every direct way out of where an agent sits is tried, and then the proxy. All at once, each bounded in time.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::proxy::ProxyUrl;
use super::through::{self, Target, Wanted};
use super::way::{CLOSED_PORTS, METADATA, Outcome, PUBLIC, Place, RESOLVERS, SOCKETS, Try, Way};
use super::{DoctorArgs, proxy, tries};
use crate::cli::Usage;
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::text::{ascii_json, plain};

/// A name that exeat always refuses (RFC 6761, section 6.4): no list lets it pass, and nobody is asked about it.
const UNLISTED: &str = "https://unlisted.invalid/";

/// Name servers of the system that are tried; resolvers read no more (resolv.conf(5)).
const SYSTEM_RESOLVERS: usize = 3;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// No way is open, and the proxy works.
    pub ok: bool,
    proxy: String,
    tries: Vec<Try>,
}

/// Tries everything.
pub(super) async fn look(args: &DoctorArgs, within: Duration) -> Result<Report, Usage> {
    let found = proxy::find(args.proxy.as_deref(), |name| std::env::var(name).ok())?;
    let found =
        found.ok_or_else(|| Usage("there is no proxy to try; pass --proxy URL, or set HTTPS_PROXY as the agent has it".to_owned()))?;
    let resolvers = resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let mut ways = ways(args, &found, &resolvers)?;
    ways.extend(api_server(|name| std::env::var(name).ok()));
    let targets = targets(args, &found)?;
    let direct = join_all(ways.into_iter().map(|way| tries::one(way, within)));
    let through = join_all(targets.iter().map(|(target, wanted)| through::one(&found, target, *wanted, within)));
    let (mut tries, through) = tokio::join!(direct, through);
    tries.extend(through);
    tries.extend(untried(args, &found));
    Ok(Report { ok: tries.iter().all(|one| one.result.is_good()), proxy: found.shown(), tries })
}

/// The name servers of `resolv.conf`; a scope of an interface is left off.
pub(super) fn resolvers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = servers.filter_map(|rest| rest.split_whitespace().next()?.split('%').next()?.parse().ok());
    addresses.take(SYSTEM_RESOLVERS).collect()
}

fn literals<const N: usize>(texts: [&str; N]) -> impl Iterator<Item = IpAddr> {
    texts.into_iter().filter_map(|text| text.parse().ok())
}

fn ways(args: &DoctorArgs, proxy: &ProxyUrl, resolvers: &[IpAddr]) -> Result<Vec<Way>, Usage> {
    let at = |port: u16| move |address: IpAddr| SocketAddr::new(address, port);
    let mut ways = Vec::new();
    for text in &args.direct {
        let wrong = |_| Usage(format!("{} is not HOST:PORT; write one like 203.0.113.7:443", plain(text, 200)));
        let to = Destination::parse(text).map_err(wrong)?;
        ways.push(Way::Tcp("tcp", Place::of(&to.host, to.port.number())));
    }
    if args.direct.is_empty() {
        let public = literals(PUBLIC).flat_map(|address| [443, 80].map(|port| SocketAddr::new(address, port)));
        ways.extend(public.map(|to| Way::Tcp("tcp", Place::At(to))));
    }
    ways.extend(literals(PUBLIC).map(at(443)).map(Way::Quic));
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in resolvers.iter().copied().chain(literals(RESOLVERS)).map(at(53)) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    ways.extend(servers.into_iter().flat_map(|server| [Way::DnsUdp(server), Way::Tcp("dns-tcp", Place::At(server))]));
    ways.extend(literals(PUBLIC).map(Way::Echo));
    ways.extend(literals(METADATA).map(at(80)).map(|to| Way::Tcp("metadata", Place::At(to))));
    ways.extend(CLOSED_PORTS.map(|(port, word)| Way::Tcp(word, Place::of(&proxy.at.host, port))));
    ways.extend(SOCKETS.map(PathBuf::from).into_iter().chain(args.socket.iter().cloned()).map(Way::AdminSocket));
    // Both matter where the rules are beside the agent and tell users apart.
    ways.extend(args.uid.into_iter().flat_map(|uid| [Way::Frames, Way::Uid(uid)]));
    Ok(ways)
}

/// The API server of the cluster whose pod this is. It answers every pod that nothing holds, also where the cluster has no way to the public addresses.
fn api_server(variable: impl Fn(&str) -> Option<String>) -> Option<Way> {
    let address: IpAddr = variable("KUBERNETES_SERVICE_HOST")?.parse().ok()?;
    let port = variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok()).unwrap_or(443);
    Some(Way::Tcp("api-server", Place::At(SocketAddr::new(address, port))))
}

fn targets(args: &DoctorArgs, proxy: &ProxyUrl) -> Result<Vec<(Target, Wanted)>, Usage> {
    let mut targets = Vec::new();
    for url in &args.listed {
        targets.push((Target::parse(url)?, Wanted::Listed));
    }
    let unlisted = Target::parse(args.unlisted.as_deref().unwrap_or(UNLISTED))?;
    if proxy.proves() {
        targets.push((unlisted.clone(), Wanted::Unproven));
    }
    targets.push((unlisted, Wanted::Unlisted));
    Ok(targets)
}

/// What was left out for want of an argument.
fn untried(args: &DoctorArgs, proxy: &ProxyUrl) -> Vec<Try> {
    let row = |way, to: &str, known: &str| Try { way, to: to.to_owned(), result: Outcome::Untried, known: known.to_owned(), fix: None };
    let beside = matches!(&proxy.at.host, Host::Address(address) if address.is_loopback());
    let mut rows = Vec::new();
    if args.listed.is_empty() {
        rows.push(row("listed", "-", "pass --listed URL with one that the agent may reach"));
    }
    if beside && args.uid.is_none() {
        rows.push(row("proxy-uid", "-", "the proxy is beside the agent: pass --uid with the user it runs as"));
    }
    rows
}

impl Report {
    /// A table for people, or one JSON object.
    pub(super) fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string(self)?));
        }
        let width = self.tries.iter().map(|one| one.to.len()).max().unwrap_or_default();
        for Try { way, to, result, known, fix } in &self.tries {
            writeln!(out, "{:<10}  {way:<12}  {:<width$}  {}", result.word(), plain(to, 200), plain(known, 300))?;
            if let Some(fix) = fix {
                writeln!(out, "            fix: {}", plain(fix, 500))?;
            }
        }
        writeln!(out, "{}", self.sum())
    }

    fn sum(&self) -> String {
        let count = |result: Outcome| self.tries.iter().filter(|one| one.result == result).count();
        let proxy = plain(&self.proxy, 300);
        match (count(Outcome::Open), count(Outcome::Fails)) {
            (0, 0) => format!("Every direct way that was tried is closed, and {proxy} does what it should."),
            (0, _) => format!("Every direct way that was tried is closed, but {proxy} does not do what it should."),
            (1, 0) => format!("A way around {proxy} is open."),
            (open, 0) => format!("{open} ways around {proxy} are open."),
            (open, fails) => {
                let tries = if fails == 1 { "1 try fails".to_owned() } else { format!("{fails} tries fail") };
                let ways = if open == 1 { "1 way around it is open".to_owned() } else { format!("{open} ways around it are open") };
                format!("{proxy} does not do what it should ({tries}); {ways}.")
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn proxy(url: &str) -> ProxyUrl {
        ProxyUrl::parse(url).unwrap()
    }

    #[test]
    fn every_kind_of_way_is_tried_over_both_families() {
        let servers = ["10.96.0.10", "8.8.8.8"].map(|text| text.parse().unwrap());
        let ways = ways(&DoctorArgs { uid: Some(65532), ..DoctorArgs::default() }, &proxy("http://10.0.0.1:3128"), &servers).unwrap();
        let tried: Vec<String> = ways.iter().map(|way| format!("{} {}", way.word(), way.to())).collect();
        let expected = "tcp 1.1.1.1:443|tcp 1.1.1.1:80|tcp 8.8.8.8:443|tcp 8.8.8.8:80|tcp [2606:4700:4700::1111]:443|\
            tcp [2606:4700:4700::1111]:80|tcp [2001:4860:4860::8888]:443|tcp [2001:4860:4860::8888]:80|quic 1.1.1.1:443|quic 8.8.8.8:443|\
            quic [2606:4700:4700::1111]:443|quic [2001:4860:4860::8888]:443|dns-udp 10.96.0.10:53|dns-tcp 10.96.0.10:53|dns-udp 8.8.8.8:53|\
            dns-tcp 8.8.8.8:53|dns-udp [2001:4860:4860::8888]:53|dns-tcp [2001:4860:4860::8888]:53|icmp 1.1.1.1|icmp 8.8.8.8|\
            icmp 2606:4700:4700::1111|icmp 2001:4860:4860::8888|metadata 169.254.169.254:80|metadata [fd00:ec2::254]:80|\
            admin-port 10.0.0.1:3129|metrics-port 10.0.0.1:9464|admin-socket /var/lib/exeat/admin.sock|admin-socket /run/exeat/admin.sock|\
            frames packet socket|proxy-uid uid 65532";
        assert_eq!(tried.join("|"), expected);
    }

    #[test]
    fn addresses_that_are_given_stand_in_for_the_public_ones() {
        let args = DoctorArgs { direct: vec!["203.0.113.7:8443".into(), "kubernetes.default.svc:443".into()], ..DoctorArgs::default() };
        let ways = ways(&args, &proxy("http://exeat.agents:3128"), &[]).unwrap();
        let tcp: Vec<String> = ways.iter().filter(|way| way.word() == "tcp").map(Way::to).collect();
        assert_eq!(tcp, ["203.0.113.7:8443", "kubernetes.default.svc:443"]);
        assert!(ways.contains(&Way::Tcp("admin-port", Place::Named("exeat.agents".into(), 3129))));
        assert!(
            super::ways(&DoctorArgs { direct: vec!["203.0.113.7".into()], ..DoctorArgs::default() }, &proxy("http://a.test:1"), &[])
                .is_err()
        );
    }

    #[test]
    fn in_a_cluster_its_api_server_is_a_way_out() {
        let set = |host: &'static str, port: Option<&'static str>| {
            api_server(move |name| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => port.map(str::to_owned),
                other => panic!("{other}"),
            })
        };
        let at = |text: &str| Some(Way::Tcp("api-server", Place::At(text.parse().unwrap())));
        assert_eq!(set("10.96.0.1", Some("6443")), at("10.96.0.1:6443"));
        assert_eq!(set("fd00::1", None), at("[fd00::1]:443"));
        assert_eq!(api_server(|_| None), None);
    }

    #[test]
    fn name_servers_are_read_as_resolvers_read_them() {
        let text =
            "# x\nsearch a.test\nnameserver 10.0.0.2\n nameserver fe80::1%eth0\nnameserver ::1 # x\nnameserver 10.0.0.3\nnameserver x\n";
        let expected: Vec<IpAddr> = ["10.0.0.2", "fe80::1", "::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(resolvers(text), expected);
    }

    #[test]
    fn a_report_names_what_is_open_and_how_to_close_it() {
        let open = Way::Quic("1.1.1.1:443".parse().unwrap()).tried(Outcome::Open, "28 bytes came back");
        let closed = Way::Echo("1.1.1.1".parse().unwrap()).tried(Outcome::Closed, "not permitted");
        let report = Report { ok: false, proxy: "http://10.0.0.1:3128".into(), tries: vec![open, closed] };
        let mut said = Vec::new();
        report.write(&mut said, false).unwrap();
        let expected = "OPEN        quic          1.1.1.1:443  28 bytes came back\n            fix: the agent's NetworkPolicy \
            (exeat-agents) or the rules of gateway.nft or sidecar.nft let UDP 443 (QUIC) to 1.1.1.1:443 out: remove that rule, \
            and let nothing but the proxy's port be reached\nclosed      icmp          1.1.1.1      not permitted\n\
            A way around http://10.0.0.1:3128 is open.\n";
        assert_eq!(String::from_utf8(said).unwrap(), expected);
        assert!(report.tries.iter().filter(|one| one.fix.is_some()).count() == 1);
    }

    #[test]
    fn the_last_line_tells_of_what_fails_beside_what_is_open() {
        let rows = [
            (0, 0, "Every direct way that was tried is closed, and http://p.test:1 does what it should."),
            (0, 1, "Every direct way that was tried is closed, but http://p.test:1 does not do what it should."),
            (1, 0, "A way around http://p.test:1 is open."),
            (2, 0, "2 ways around http://p.test:1 are open."),
            (1, 2, "http://p.test:1 does not do what it should (2 tries fail); 1 way around it is open."),
            (2, 1, "http://p.test:1 does not do what it should (1 try fails); 2 ways around it are open."),
        ];
        for (open, fails, expected) in rows {
            let way = || Way::Echo("192.0.2.1".parse().unwrap());
            let mut tries: Vec<Try> = (0..open).map(|_| way().tried(Outcome::Open, "")).collect();
            tries.extend((0..fails).map(|_| way().tried(Outcome::Fails, "")));
            assert_eq!(Report { ok: false, proxy: "http://p.test:1".into(), tries }.sum(), expected);
        }
    }
}
