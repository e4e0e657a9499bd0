//! One machine: exeat, an agent that is a user of its own, and everybody else, with the shipped rules.

use super::netns::{Net, is_possible};
use super::sidecar::{AGENT, POD, doctor, network, proxy};

const DEFINES: [(&str, &str); 1] = [("agents", "{ 1000 }")];

fn reaches(net: &Net, user: &str) -> bool {
    let user = format!("--reuid={user}");
    let argv = ["setpriv", &user, "--regid=1000", "--clear-groups", "curl", "--silent", "--max-time", "20", "http://1.1.1.1/"];
    String::from_utf8(net.command(POD, &argv).output().unwrap().stdout).unwrap() == "outside\n"
}

#[test]
fn an_agent_that_is_a_user_of_a_machine_is_held_and_others_are_not() {
    if !is_possible() {
        return;
    }
    let net = network();
    let _proxy = proxy(&net);
    assert!(reaches(&net, "1000"));
    net.rules(POD, "user.nft", &DEFINES);
    doctor(&net, AGENT).assert_closed(30, 3);
    assert_eq!(["1000", "1001", "0", "65532"].map(|user| reaches(&net, user)), [false, true, true, true]);
}

#[test]
fn each_hole_for_a_user_of_a_machine_is_named() {
    if !is_possible() {
        return;
    }
    let net = network();
    let _proxy = proxy(&net);
    let holes: [(&str, &[&str]); 4] = [
        ("held ip daddr 1.1.1.1 udp dport 443 accept", &["quic 1.1.1.1:443"]),
        ("held ip6 daddr 2001:4860:4860::8888 udp dport 53 accept", &["dns-udp [2001:4860:4860::8888]:53"]),
        ("held ip daddr 8.8.8.8 icmp type echo-request accept", &["icmp 8.8.8.8"]),
        ("held oifname lo accept", &["admin-port 127.0.0.1:3129", "metrics-port 127.0.0.1:9464"]),
    ];
    for (hole, open) in holes {
        net.rules(POD, "user.nft", &DEFINES);
        net.within(POD, &["nft", &format!("insert rule inet exeat_user {hole}")]);
        doctor(&net, AGENT).assert_open(open, hole);
    }
    net.rules(POD, "user.nft", &[]);
    assert!(reaches(&net, "1000"), "the rules are about the users they name");
}
