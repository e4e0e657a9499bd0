//! A network of a test's own, with nothing but loopback in it: what comes from an agent's address is redirected to the listener of that agent.
//!
//! The test runs itself again inside it, which takes root and nft.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;

use rustix::net::{AddressFamily, SocketType};

use super::site::Site;
use super::talk::Talk;

/// Public addresses. What exeat dials at the first is brought to the same port of 127.0.0.1; at the last it is brought back to exeat.
pub(crate) const ELSEWHERE: &str = "93.184.215.34";
pub(crate) const ELSEWHERE_6: &str = "[2606:2800::34]";
pub(crate) const BACK: &str = "93.184.215.40";

const INSIDE: &str = "OWN_NETWORK";

/// Agents, the last part of their addresses, and the ports of their listeners.
const AGENTS: [(&str, u8, u16); 3] = [("a", 9, 15001), ("b", 8, 15002), ("c", 7, 15003)];

/// Runs a test in a network of its own, or skips it with a notice where there can be none.
pub(crate) fn alone(test: impl FnOnce()) {
    if !try_alone(&test) {
        return;
    }
    test();
}

/// As `alone`, and in the network of all where there can be none.
pub(crate) fn alone_if_possible(test: impl FnOnce()) {
    if try_alone(&test) || !possible() {
        test();
    }
}

/// Whether this is the network of its own.
pub(crate) fn is_here() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// `true`: this is the network, and the test is still to be run. Else it was run, or cannot be.
fn try_alone<T>(test: &T) -> bool {
    if is_here() {
        return true;
    }
    if !possible() {
        assert_ne!(std::env::var("EXEAT_TEST_CLIENTS").as_deref(), Ok("all"), "a network of its own takes root, unshare, ip and nft");
        eprintln!("skipped: a network of its own takes root, unshare, ip and nft");
        return false;
    }
    let name = std::any::type_name_of_val(test).trim_start_matches("it::").trim_end_matches("::{{closure}}").to_owned();
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", &setup(), "sh"]).arg(std::env::current_exe().unwrap()).args(["--exact", &name, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name}\n{out}\n{err}");
    false
}

fn possible() -> bool {
    let tried = Command::new("unshare").args(["-n", "sh", "-c", "ip link set lo up && nft list tables"]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn setup() -> String {
    let addresses =
        AGENTS.map(|(_, last, _)| format!("ip address add 10.9.0.{last}/24 dev lo; ip address add fd09::{last}/64 dev lo nodad\n"));
    let rules = AGENTS.map(|(_, last, port)| {
        format!(
            "ip saddr 10.9.0.{last} tcp dport 1-65535 redirect to :{port}\nip6 saddr fd09::{last} tcp dport 1-65535 redirect to :{port}\n"
        )
    });
    format!(
        "set -e\nip link set lo up\nip address add 10.9.0.1/24 dev lo; ip address add fd09::1/64 dev lo nodad\n{}\
         ip route add default dev lo src 10.9.0.1; ip -6 route add default dev lo src fd09::1\n\
         nft -f - <<RULES\ntable inet test {{\nchain output {{\ntype nat hook output priority -100\n{}\
         ip daddr {BACK} tcp dport 1-65535 redirect to :15001\nip daddr {ELSEWHERE} tcp dport 1-65535 redirect\n}}\n}}\nRULES\nexec \"$@\"",
        addresses.concat(),
        rules.concat()
    )
}

/// Gives these agents a listener each that takes what is redirected from their addresses.
pub(crate) fn redirecting(site: &mut Site, agents: &[&str]) {
    for (agent, _, port) in AGENTS.iter().filter(|(agent, ..)| agents.contains(agent)) {
        let section = format!("listen.side-{agent}");
        site.set(&section, "address", &format!("[\"127.0.0.1:{port}\", \"[::1]:{port}\"]"));
        site.set(&section, "agent", &format!("\"{agent}\""));
        site.set(&section, "transparent", "true");
    }
}

/// Where an agent's listener is, for those who come to it straight.
pub(crate) fn listener(agent: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], AGENTS.iter().find(|(name, ..)| *name == agent).unwrap().2))
}

/// An agent's connection, from its own address of the same family.
pub(crate) fn talk(agent: &str, to: &str, port: u16) -> Talk {
    let to: SocketAddr = format!("{to}:{port}").parse().unwrap();
    let last = AGENTS.iter().find(|(name, ..)| *name == agent).unwrap().1;
    let (family, source) = match to {
        SocketAddr::V4(_) => (AddressFamily::INET, IpAddr::from([10, 9, 0, last])),
        SocketAddr::V6(_) => (AddressFamily::INET6, IpAddr::from([0xfd09, 0, 0, 0, 0, 0, 0, u16::from(last)])),
    };
    let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::new(source, 0)).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    Talk::over(TcpStream::from(socket))
}
