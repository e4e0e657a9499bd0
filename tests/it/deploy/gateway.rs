//! The gateway layout: an agent's host, a router with the shipped rules, exeat, and an outside in which every way out would be answered.

use super::netns::{Net, ORIGIN, Said, is_possible, verify};
use super::sidecar::AGENT as CLOSED;
use crate::support::proxy::{Proxy, decided};
use crate::support::site::token;

const AGENT: &str = "agent";
const ROUTER: &str = "router";
const EXEAT: &str = "exeat";
const OUTSIDE: &str = "outside";

/// What a host of agents could do without rules: each way that the doctor tries and that leads over the network.
pub(super) const WAYS: [&str; 24] = [
    "tcp 1.1.1.1:443",
    "tcp 1.1.1.1:80",
    "tcp 8.8.8.8:443",
    "tcp 8.8.8.8:80",
    "tcp [2606:4700:4700::1111]:443",
    "tcp [2606:4700:4700::1111]:80",
    "tcp [2001:4860:4860::8888]:443",
    "tcp [2001:4860:4860::8888]:80",
    "quic 1.1.1.1:443",
    "quic 8.8.8.8:443",
    "quic [2606:4700:4700::1111]:443",
    "quic [2001:4860:4860::8888]:443",
    "dns-udp 8.8.8.8:53",
    "dns-tcp 8.8.8.8:53",
    "dns-udp [2001:4860:4860::8888]:53",
    "dns-tcp [2001:4860:4860::8888]:53",
    "icmp 1.1.1.1",
    "icmp 8.8.8.8",
    "icmp 2606:4700:4700::1111",
    "icmp 2001:4860:4860::8888",
    "metadata 169.254.169.254:80",
    "metadata [fd00:ec2::254]:80",
    "admin-port 10.88.0.2:3129",
    "metrics-port 10.88.0.2:9464",
];

fn network() -> Net {
    let mut net = Net::new(&[AGENT, ROUTER, EXEAT, OUTSIDE]);
    net.join([ROUTER, "agents0", "10.89.0.1/24", "fd89::1/64"], [AGENT, "eth0", "10.89.0.2/24", "fd89::2/64"]);
    net.join([ROUTER, "gateway0", "10.88.0.1/24", "fd88::1/64"], [EXEAT, "eth0", "10.88.0.2/24", "fd88::2/64"]);
    net.join([ROUTER, "out0", "10.87.0.1/24", "fd87::1/64"], [OUTSIDE, "eth0", "10.87.0.2/24", "fd87::2/64"]);
    for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        net.tune(ROUTER, forwarding, "1");
    }
    // A router sends so few errors a second that a doctor who comes twice would take some rejections for silence.
    for limit in ["ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"] {
        net.tune(ROUTER, limit, "0");
    }
    net.route(AGENT, "10.89.0.1", "fd89::1");
    net.route(EXEAT, "10.88.0.1", "fd88::1");
    net.route(ROUTER, "10.87.0.2", "fd87::2");
    net.route(OUTSIDE, "10.87.0.1", "fd87::1");
    net.outside(OUTSIDE);
    net
}

fn proxy(net: &Net) -> Proxy {
    let digest = exeat::policy::token::TokenDigest::of(&token("a"));
    net.file(
        "allowlists/a.toml",
        &format!("agent = \"a\"\n[[identify]]\ntoken = \"{digest}\"\n[[allow]]\nhost = \"listed.test\"\naddresses = [\"{ORIGIN}/32\"]\n"),
    );
    let config = net.file(
        "exeat.toml",
        "state = \"state\"\n[listen.main]\naddress = [\"10.88.0.2:3128\", \"[fd88::2]:3128\"]\n[metrics]\naddress = \"10.88.0.2:9464\"\n\
         [admin]\naddress = \"10.88.0.2:3129\"\n[dns]\nservers = [\"8.8.8.8\"]\n",
    );
    let start = format!("exec ip netns exec {} \"$0\" --config \"$1\" serve", net.name(EXEAT));
    Proxy::start_under(&config, &config.with_file_name("state"), Some(&start))
}

/// What the verify Job runs, as a pod without capabilities does, and more.
fn doctor(net: &Net, proxy: &str, more: &[&str]) -> Said {
    let exeat = net.exeat();
    let mut command = net.command(AGENT, &[CLOSED, &[exeat.to_str().unwrap()]].concat());
    command.args(verify("gateway")).args(["--json", "--listed", "http://listed.test/"]).args(more);
    Said::of(&command.env("HTTPS_PROXY", format!("http://a:{}@{proxy}", token("a"))).output().unwrap())
}

#[test]
fn an_agents_host_reaches_listed_names_through_exeat_and_nothing_else() {
    if !is_possible() {
        return;
    }
    let net = network();
    let proxy = proxy(&net);
    let before = doctor(&net, "10.88.0.2:3128", &[]);
    before.assert_open(&WAYS, "no rules at all");

    net.rules(ROUTER, "gateway.nft", &[("agents", "{ \"agents0\" }"), ("gateway4", "10.88.0.2"), ("gateway6", "fd88::2")]);
    // The sockets of exeat are no files of this machine, and user and frames are not to be had: five more are closed.
    doctor(&net, "10.88.0.2:3128", &[]).assert_closed(29, 4);
    doctor(&net, "[fd88::2]:3128", &[]).assert_closed(29, 4);
    doctor(&net, "10.88.0.2:3128", &["--direct", "10.89.0.1:22", "--direct", "[fd89::1]:22", "--direct", "203.0.113.10:80"])
        .assert_closed(24, 4);

    let records = proxy.settled();
    assert!(decided(&records, "listed.test").iter().all(|record| record["decision"] == "allow"), "{records:?}");
    assert!(decided(&records, "unlisted.invalid").iter().all(|record| record["decision"] == "block"), "{records:?}");
}

#[test]
fn each_hole_in_the_gateways_rules_is_named() {
    if !is_possible() {
        return;
    }
    let net = network();
    let _proxy = proxy(&net);
    let holes: [(&str, &[&str]); 14] = [
        ("ip daddr 1.1.1.1 tcp dport 443 accept", &["tcp 1.1.1.1:443"]),
        ("ip6 daddr 2606:4700:4700::1111 tcp dport 80 accept", &["tcp [2606:4700:4700::1111]:80"]),
        ("ip daddr 1.1.1.1 udp dport 443 accept", &["quic 1.1.1.1:443"]),
        ("ip6 daddr 2606:4700:4700::1111 udp dport 443 accept", &["quic [2606:4700:4700::1111]:443"]),
        ("ip daddr 8.8.8.8 udp dport 53 accept", &["dns-udp 8.8.8.8:53"]),
        ("ip6 daddr 2001:4860:4860::8888 udp dport 53 accept", &["dns-udp [2001:4860:4860::8888]:53"]),
        ("ip daddr 8.8.8.8 tcp dport 53 accept", &["dns-tcp 8.8.8.8:53"]),
        ("ip daddr 8.8.8.8 icmp type echo-request accept", &["icmp 8.8.8.8"]),
        ("ip6 daddr 2001:4860:4860::8888 icmpv6 type echo-request accept", &["icmp 2001:4860:4860::8888"]),
        ("ip daddr 169.254.169.254 tcp dport 80 accept", &["metadata 169.254.169.254:80"]),
        ("ip6 daddr fd00:ec2::254 tcp dport 80 accept", &["metadata [fd00:ec2::254]:80"]),
        ("tcp dport 3129 accept", &["admin-port 10.88.0.2:3129"]),
        ("tcp dport 9464 accept", &["metrics-port 10.88.0.2:9464"]),
        (
            "meta l4proto udp accept",
            &[
                "quic 1.1.1.1:443",
                "quic 8.8.8.8:443",
                "quic [2606:4700:4700::1111]:443",
                "quic [2001:4860:4860::8888]:443",
                "dns-udp 8.8.8.8:53",
                "dns-udp [2001:4860:4860::8888]:53",
            ],
        ),
    ];
    for (hole, open) in holes {
        net.rules(ROUTER, "gateway.nft", &[]);
        net.within(ROUTER, &["nft", &format!("insert rule inet exeat_gateway from_agents {hole}")]);
        doctor(&net, "10.88.0.2:3128", &[]).assert_open(open, hole);
    }
    net.rules(ROUTER, "gateway.nft", &[]);
    doctor(&net, "10.88.0.2:3128", &[]).assert_closed(29, 4);
}
