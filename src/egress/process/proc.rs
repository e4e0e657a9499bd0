//! `/proc` as proc(5) has it: the inode of a socket in `net/tcp` and `net/tcp6`, and the descriptors in `PID/fd` that link to it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Ends, user_name};
use crate::egress::hold::Process;
use crate::policy::address::canonical;

/// Processes that are looked into, the newest first.
const MOST_PROCESSES: usize = 4096;

/// How long it may take in all. What was found by then is told.
const MOST_TIME: Duration = Duration::from_millis(100);

/// The longest word or path that is told.
const LONGEST: usize = 256;

/// The process that holds the peer's end of the connection, and how many do.
pub(super) fn holder(ends: Ends) -> Option<Process> {
    holder_within(ends, MOST_TIME)
}

fn holder_within(ends: Ends, time: Duration) -> Option<Process> {
    let end = Instant::now() + time;
    // Thousands of lines are of other connections, and the text of a port tells that.
    let port = format!(":{:04X} ", ends.peer.port());
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let lines = BufReader::new(File::open(table).ok()?).lines().map_while(Result::ok);
        lines.take_while(|_| Instant::now() < end).filter(|line| line.contains(&port)).find_map(|line| socket_of(&line, ends))
    })?;
    let link = format!("socket:[{}]", socket.inode);
    let mut holders = newest().into_iter().take(MOST_PROCESSES).take_while(|_| Instant::now() < end).filter_map(|pid| {
        let held = held(pid, &link, end)?;
        Some((pid, held))
    });
    let first = holders.next()?;
    let more = holders.count();
    let (pid, descriptor) = first;
    let told = told(pid, socket.uid, more + 1);
    // The number may have been given to another process meanwhile.
    let still = fs::read_link(descriptor).is_ok_and(|to| to.as_os_str() == link.as_str());
    still.then_some(told)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    inode: u64,
    uid: u32,
}

/// The socket of a line of the table, where that is the peer's end: its own address, then ours.
fn socket_of(line: &str, ends: Ends) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (own, other) = (address(fields.nth(1)?)?, address(fields.next()?)?);
    if (canonical(own), canonical(other)) != (canonical(ends.peer), canonical(ends.local)) {
        return None;
    }
    let uid = fields.nth(4)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok().filter(|inode| *inode != 0)?;
    Some(Socket { inode, uid })
}

/// An address as the tables write it: the words of the address in the order of this machine's bytes, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let words = host.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes));
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    let host: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(host, u16::from_str_radix(port, 16).ok()?))
}

fn newest() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().map_while(Result::ok);
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable_by(|one, other| other.cmp(one));
    pids
}

/// The descriptor of the process that is the socket.
fn held(pid: u32, link: &str, end: Instant) -> Option<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.map_while(Result::ok).take_while(|_| Instant::now() < end);
    entries.map(|entry| entry.path()).find(|path| fs::read_link(path).is_ok_and(|to| to.as_os_str() == link))
}

fn told(pid: u32, uid: u32, holders: usize) -> Process {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let executable = fs::read_link(folder.join("exe")).ok().map(|path| short(&path.to_string_lossy()));
    let name = begin(&folder.join("comm")).map(|name| name.trim_end_matches('\n').to_owned()).unwrap_or_default();
    let called = begin(&folder.join("cmdline")).and_then(|line| word(&line));
    Process { pid, name, executable, called, user: user_name(uid), holders }
}

/// The first word: a process that wrote its own title has its arguments behind a space, and not behind a zero.
fn word(line: &str) -> Option<String> {
    let word = line.split(['\0', ' ', '\t', '\n']).next().filter(|word| !word.is_empty())?;
    Some(short(word))
}

fn begin(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(4 * LONGEST as u64).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
#[expect(clippy::disallowed_methods, reason = "the test is the peer")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// No machine is so busy.
    const LONG: Duration = Duration::from_secs(60);

    fn ends(listener: &TcpListener, peer: &TcpStream) -> Ends {
        Ends { peer: peer.local_addr().unwrap(), local: listener.local_addr().unwrap() }
    }

    #[test]
    fn the_process_that_holds_the_peers_end_is_found_by_either_family() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let Process { pid, name, executable, called, user, holders } = holder_within(ends(&listener, &peer), LONG).unwrap();
            assert_eq!((pid, holders), (std::process::id(), 1));
            assert_eq!(name, fs::read_to_string("/proc/self/comm").unwrap().trim_end());
            assert_eq!(executable.as_deref(), std::env::current_exe().unwrap().to_str());
            assert_eq!(called, std::env::args().next());
            assert_eq!(user, user_name(rustix::process::getuid().as_raw()));
        }
    }

    #[test]
    fn a_connection_to_elsewhere_from_the_same_address_is_not_taken_for_it() {
        let (ours, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let peer = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        assert_eq!(holder_within(ends(&ours, &peer), LONG), None);
        assert_eq!(holder_within(ends(&other, &peer), Duration::ZERO), None);
    }

    #[test]
    fn a_line_of_the_table_is_read_as_proc_writes_it() {
        let ends = Ends { peer: "127.0.0.1:40000".parse().unwrap(), local: "127.0.0.1:3128".parse().unwrap() };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let mapped = format!("0000000000000000{:08X}{loopback}", u32::from_ne_bytes([0, 0, 0xff, 0xff]));
        let line = |own: &str, other: &str, inode: u64| {
            format!(
                "  7: {own}:9C40 {other}:0C38 01 00000000:00000000 02:000006C3 00000000  1000        0 {inode} 2 0000000000000000 20 4 30 10 -1"
            )
        };
        let found = Some(Socket { inode: 4711, uid: 1000 });
        assert_eq!(socket_of(&line(&loopback, &loopback, 4711), ends), found);
        assert_eq!(socket_of(&line(&mapped, &mapped, 4711), ends), found);
        assert_eq!(socket_of(&line(&loopback, "00000000", 4711), ends), None);
        assert_eq!(socket_of(&line(&loopback, &loopback, 0), ends), None);
        assert_eq!(socket_of("  sl  local_address rem_address   st", ends), None);
    }

    #[test]
    fn no_more_than_the_first_word_of_a_command_line_is_told() {
        let rows = [
            ("/usr/bin/curl\0-H\0Authorization: Bearer s3cret\0", Some("/usr/bin/curl")),
            ("worker: --token=s3cret\0", Some("worker:")),
            ("", None),
            (" leading", None),
        ];
        for (line, called) in rows {
            assert_eq!(word(line).as_deref(), called, "{line:?}");
        }
    }
}
