//! The sidecar layout: agent and exeat in one network namespace as two users, with the shipped rules, and an outside that answers everything.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::gateway::WAYS;
use super::netns::{Net, ORIGIN, Said, is_possible, verify};
use crate::support::proxy::{Proxy, decided};

pub(super) const POD: &str = "pod";
const OUTSIDE: &str = "outside";

/// An agent without any capability, as another user than exeat.
pub(super) const AGENT: &[&str] =
    &["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
/// One that was given the user of exeat.
const AS_EXEAT: &[&str] = &["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
/// Two that were left a capability.
const SETUID: &[&str] =
    &["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--inh-caps=-all,+setuid", "--ambient-caps=-all,+setuid"];
const NET_RAW: &[&str] =
    &["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"];

pub(super) fn network() -> Net {
    let mut net = Net::new(&[POD, OUTSIDE]);
    net.join([POD, "eth0", "10.88.0.2/24", "fd88::2/64"], [OUTSIDE, "eth0", "10.88.0.1/24", "fd88::1/64"]);
    net.route(POD, "10.88.0.1", "fd88::1");
    net.outside(OUTSIDE);
    net
}

/// Exeat as its own user; its state folder is beside the configuration, and its alone.
pub(super) fn proxy(net: &Net) -> Proxy {
    net.file(
        "allowlists/a.toml",
        &format!("agent = \"a\"\n[[identify]]\nlistener = \"main\"\n[[identify]]\nlistener = \"redirected\"\n[[allow]]\nhost = \"listed.test\"\naddresses = [\"{ORIGIN}/32\"]\n"),
    );
    let config = net.file(
        "exeat.toml",
        "state = \"state\"\n[listen.main]\naddress = \"127.0.0.1:3128\"\n[listen.redirected]\naddress = [\"127.0.0.1:3130\", \"[::1]:3130\"]\n\
         transparent = true\n[metrics]\naddress = \"0.0.0.0:9464\"\n[admin]\naddress = \"127.0.0.1:3129\"\n[dns]\nservers = [\"8.8.8.8\"]\n",
    );
    let state = config.with_file_name("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&state, Some(65532), Some(65532)).unwrap();
    let exeat = net.exeat();
    let start = format!("exec ip netns exec {} {} {} --config \"$1\" serve", net.name(POD), AS_EXEAT.join(" "), exeat.display());
    Proxy::start_under(&config, &state, Some(&start))
}

fn admin_socket(net: &Net) -> PathBuf {
    net.exeat().with_file_name("state").join("admin.sock")
}

/// What the verify Job runs, as such a user, and the socket where it is here.
pub(super) fn doctor(net: &Net, whose: &[&str]) -> Said {
    let (exeat, socket) = (net.exeat(), admin_socket(net));
    let mut command = net.command(POD, &[whose, &[exeat.to_str().unwrap()]].concat());
    command.args(verify("sidecar")).args(["--json", "--listed", "http://listed.test/", "--socket"]).arg(socket);
    Said::of(&command.env("HTTPS_PROXY", "http://127.0.0.1:3128").output().unwrap())
}

/// The ways of the other layout, with the proxy beside the agent.
fn ways() -> Vec<String> {
    WAYS.iter().map(|way| way.replace("10.88.0.2", "127.0.0.1")).collect()
}

#[test]
fn an_agent_beside_exeat_reaches_listed_names_through_it_and_nothing_else() {
    if !is_possible() {
        return;
    }
    let net = network();
    let proxy = proxy(&net);
    let ways = ways();
    doctor(&net, AGENT).assert_open(&ways.iter().map(String::as_str).collect::<Vec<_>>(), "no rules at all");

    net.rules(POD, "sidecar.nft", &[]);
    // Four sockets, frames and the user are closed beside the ways over the network.
    doctor(&net, AGENT).assert_closed(30, 3);
    let records = proxy.settled();
    assert!(decided(&records, "listed.test").iter().all(|record| record["decision"] == "allow"), "{records:?}");
    assert!(decided(&records, "unlisted.invalid").iter().all(|record| record["decision"] == "block"), "{records:?}");
}

#[test]
fn a_program_that_knows_of_no_proxy_reaches_what_is_listed_by_what_it_shows() {
    if !is_possible() {
        return;
    }
    let net = network();
    let proxy = proxy(&net);
    net.rules(POD, "sidecar.nft", &[]);
    let curl = |url: &str, at: &str| {
        let argv = [AGENT, &["curl", "--silent", "--insecure", "--max-time", "20", "--resolve", at, url]].concat();
        let output = net.command(POD, &argv).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // The address that it was going to is not where it goes: exeat looks the name up itself.
    for at in [ORIGIN, "1.1.1.1", "[2606:4700:4700::1111]"] {
        assert_eq!(curl("https://listed.test/", &format!("listed.test:443:{at}")), (true, "outside\n".to_owned()), "{at}");
        assert_eq!(curl("http://listed.test/", &format!("listed.test:80:{at}")), (true, "outside\n".to_owned()), "{at}");
        let (reached, said) = curl("https://unlisted.test/", &format!("unlisted.test:443:{at}"));
        assert!(!reached && !said.contains("outside"), "{at}: {said}");
        let (_, said) = curl("http://unlisted.test/", &format!("unlisted.test:80:{at}"));
        assert!(said.contains("\"reason\":\"unlisted\"") && !said.contains("outside\n"), "{at}: {said}");
    }
    let records = proxy.settled();
    for (host, decision) in [("listed.test", "allow"), ("unlisted.test", "block")] {
        let found = decided(&records, host);
        assert_eq!(found.len(), 6, "{records:?}");
        assert!(found.iter().all(|record| record["decision"] == decision && record["front"] == "transparent"), "{found:?}");
    }
}

#[test]
fn each_hole_beside_the_agent_is_named() {
    if !is_possible() {
        return;
    }
    let net = network();
    let _proxy = proxy(&net);
    // A way that is redirected has two doors.
    let holes: [(&[&str], &[&str]); 9] = [
        (&["output ip daddr 1.1.1.1 tcp dport 443 accept", "redirected ip daddr 1.1.1.1 tcp dport 443 accept"], &["tcp 1.1.1.1:443"]),
        (
            &["output ip6 daddr 2606:4700:4700::1111 tcp dport 80 accept", "redirected ip6 daddr 2606:4700:4700::1111 tcp dport 80 accept"],
            &["tcp [2606:4700:4700::1111]:80"],
        ),
        (&["output ip daddr 1.1.1.1 udp dport 443 accept"], &["quic 1.1.1.1:443"]),
        (&["output ip6 daddr 2606:4700:4700::1111 udp dport 443 accept"], &["quic [2606:4700:4700::1111]:443"]),
        (&["output ip daddr 8.8.8.8 udp dport 53 accept"], &["dns-udp 8.8.8.8:53"]),
        (&["output ip daddr 8.8.8.8 icmp type echo-request accept"], &["icmp 8.8.8.8"]),
        (&["output ip6 daddr 2001:4860:4860::8888 icmpv6 type echo-request accept"], &["icmp 2001:4860:4860::8888"]),
        (
            &["output ip daddr 169.254.169.254 tcp dport 80 accept", "redirected ip daddr 169.254.169.254 tcp dport 80 accept"],
            &["metadata 169.254.169.254:80"],
        ),
        (&["output tcp dport { 3129, 9464 } accept"], &["admin-port 127.0.0.1:3129", "metrics-port 127.0.0.1:9464"]),
    ];
    for (rules, open) in holes {
        net.rules(POD, "sidecar.nft", &[]);
        for rule in rules {
            net.within(POD, &["nft", &format!("insert rule inet exeat_sidecar {rule}")]);
        }
        doctor(&net, AGENT).assert_open(open, rules[0]);
    }
    net.rules(POD, "sidecar.nft", &[]);
    doctor(&net, SETUID).assert_open(&["proxy-uid uid 65532"], "the capability to change users");
    doctor(&net, NET_RAW).assert_open(&["frames packet socket"], "the capability to send frames");

    let socket = admin_socket(&net);
    let said = format!("admin-socket {}", socket.display());
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    doctor(&net, AGENT).assert_open(&[&said], "the state folder mounted into the agent");

    let mut everything = ways();
    everything.extend([said, "proxy-uid uid 65532".to_owned()]);
    doctor(&net, AS_EXEAT).assert_open(&everything.iter().map(String::as_str).collect::<Vec<_>>(), "the agent runs as exeat's user");
}
