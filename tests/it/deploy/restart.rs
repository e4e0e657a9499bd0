//! Two instances behind a balancer that obeys `/readyz`, replaced one after the other while real clients go on: nothing that they ask fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::shipped::{is_here, runs};
use crate::clients::table::python;
use crate::clients::world::World;
use crate::documents::reader::free_ports;
use crate::support::proxy::{Proxy, exeat, of_kind};
use crate::support::site::token;
use crate::support::wait::until;

/// Long enough for the balancer to look at `/readyz` and for each kept connection to be used once more.
const NOTICE: &str = "\"5s\"";

/// Two sessions that keep their connections for twenty requests each, until a file is there; a line for each request.
const REQUESTS: &str = "import os, sys, requests
over, urls = sys.argv[1], sys.argv[2:]
while not os.path.exists(over):
    with requests.Session() as session:
        for number in range(20):
            try:
                answer = session.get(urls[number % len(urls)], timeout=60)
                print('ok' if answer.ok and answer.text == 'the page' else 'failed: %s %s' % (answer.status_code, answer.text), flush=True)
            except Exception as error:
                print('failed: %r' % error, flush=True)
";

const HTTPX: &str = "import os, ssl, sys, httpx
over, urls = sys.argv[1], sys.argv[2:]
context = ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE'])
while not os.path.exists(over):
    with httpx.Client(verify=context, timeout=60) as client:
        for number in range(20):
            try:
                answer = client.get(urls[number % len(urls)])
                print('ok' if answer.status_code == 200 and answer.text == 'the page' else 'failed: %s %s' % (answer.status_code, answer.text), flush=True)
            except Exception as error:
                print('failed: %r' % error, flush=True)
";

/// A connection for each request.
const CURL: &str = "over=$1; shift
while [ ! -e \"$over\" ]; do for url do
    answer=$(curl -sS -f --max-time 60 \"$url\" 2>&1) && [ \"$answer\" = 'the page' ] && echo ok || echo \"failed: $answer\"
done; done";

const GIT: &str = "over=$1; shift
while [ ! -e \"$over\" ]; do for url do
    answer=$(git ls-remote \"${url%/page}/repo.git\" HEAD 2>&1) && [ -n \"$answer\" ] && echo ok || echo \"failed: $answer\"
done; done";

/// What each is called with, and what shows that it is here.
fn clients() -> Vec<(&'static str, Vec<String>, String)> {
    let shell = |text: &str| ["sh", "-c", text, "sh"].map(str::to_owned).to_vec();
    let snake = |text: &str| vec![python(), "-c".to_owned(), text.to_owned()];
    vec![
        ("curl", shell(CURL), "curl --version".to_owned()),
        ("git", shell(GIT), "git --version".to_owned()),
        ("requests", snake(REQUESTS), format!("{} -c 'import requests'", python())),
        ("httpx", snake(HTTPX), format!("{} -c 'import httpx'", python())),
    ]
}

/// An instance with a state and places of its own.
struct Instance {
    config: PathBuf,
    state: PathBuf,
    port: u16,
    watched: u16,
}

impl Instance {
    fn new(world: &World, name: &str) -> Self {
        let ([port, watched], state) = (free_ports(), world.site.path().join(name));
        let text = std::fs::read_to_string(world.site.config()).unwrap();
        let places: [(&str, String); 3] = [
            ("state = \"state\"", format!("state = \"{name}\"")),
            ("[listen.main]\naddress = [\"127.0.0.1:0\"]", format!("[listen.main]\naddress = [\"127.0.0.1:{port}\"]")),
            ("[metrics]\naddress = \"127.0.0.1:0\"", format!("[metrics]\naddress = \"127.0.0.1:{watched}\"")),
        ];
        let text = places.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        });
        let config = world.site.path().join(format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        assert!(exeat(Some(&config)).arg("check").output().unwrap().status.success());
        Self { config, state, port, watched }
    }

    fn start(&self) -> Proxy {
        Proxy::start(&self.config, &self.state)
    }
}

/// A balancer of connections.
struct Balancer {
    child: Child,
    address: SocketAddr,
    asked: PathBuf,
}

impl Balancer {
    fn start(folder: &Path, instances: &[Instance; 2]) -> Self {
        let ([port], asked) = (free_ports(), folder.join("balancer.sock"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let servers: String = instances
            .iter()
            .enumerate()
            .map(|(at, instance)| {
                format!("  server exeat-{at} 127.0.0.1:{} check port {} inter 100ms fall 1 rise 1\n", instance.port, instance.watched)
            })
            .collect();
        let text = format!(
            "global\n  stats socket {} level admin\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 2m\n  timeout server 2m\n  timeout check 2s\n  \
            retries 3\n  option redispatch\nfrontend agents\n  bind {address}\n  default_backend exeat\nbackend exeat\n  balance roundrobin\n  \
            option httpchk GET /readyz\n  http-check expect status 200\n{servers}",
            asked.display()
        );
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, text).unwrap();
        let child = Command::new("haproxy").args(["-db", "-f"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address, asked }
    }

    /// How many instances it sends agents to.
    fn up(&self) -> usize {
        let Ok(mut stream) = UnixStream::connect(&self.asked) else { return 0 };
        let mut said = String::new();
        stream.write_all(b"show stat\n").and_then(|()| stream.read_to_string(&mut said)).map_or(0, |_| {
            said.lines().filter(|line| line.starts_with("exeat,exeat-") && line.split(',').any(|field| field == "UP")).count()
        })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that goes on until it is told to end.
struct Caller {
    name: &'static str,
    child: Child,
    asked: AtomicUsize,
}

impl Caller {
    fn start(world: &World, (name, argv): (&'static str, &[String]), through: SocketAddr, over: &Path) -> Self {
        let url = |scheme: &str, port: u16| format!("{scheme}://{name}.listed.test:{port}/page");
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).arg(over).args([url("http", world.plain.port()), url("https", world.secure.port())]);
        for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(variable, format!("http://a:{}@{through}", token("a")));
        }
        for variable in ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"] {
            command.env(variable, &world.ca);
        }
        for variable in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(variable);
        }
        command.env("HOME", world.fresh("home")).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        Self { name, child, asked: AtomicUsize::new(0) }
    }

    /// Counts its requests to the end, and gives those that failed.
    fn failures(&self, output: impl Read) -> Vec<String> {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let counted = lines.inspect(|_| {
            self.asked.fetch_add(1, Ordering::Relaxed);
        });
        counted.filter(|line| line != "ok").map(|line| format!("{}: {line}", self.name)).collect()
    }
}

#[test]
fn two_instances_are_replaced_in_turn_and_no_request_fails() {
    if !is_here("haproxy", runs(&["haproxy", "-v"])) {
        return;
    }
    let mut world = World::new();
    world.site.set("drain", "notice", NOTICE);
    world.site.set("drain", "time", "\"2m\"");
    let instances = ["one", "two"].map(|name| Instance::new(&world, name));
    let mut running = instances.each_ref().map(Instance::start);
    let balancer = Balancer::start(world.site.path(), &instances);
    until("both are up", || balancer.up() == 2);
    let over = world.site.path().join("over");
    let here: Vec<_> = clients().into_iter().filter(|(name, _, probe)| is_here(name, runs(&["sh", "-c", probe]))).collect();
    let mut callers: Vec<Caller> =
        here.iter().map(|(name, argv, _)| Caller::start(&world, (name, argv), balancer.address, &over)).collect();
    let outputs: Vec<_> = callers.iter_mut().map(|caller| caller.child.stdout.take().unwrap()).collect();

    let failed: Vec<String> = thread::scope(|scope| {
        let reading: Vec<_> = callers.iter().zip(outputs).map(|(caller, output)| scope.spawn(move || caller.failures(output))).collect();
        let everyone_asks = || {
            let before: Vec<usize> = callers.iter().map(|caller| caller.asked.load(Ordering::Relaxed)).collect();
            until("everyone asks", || {
                callers.iter().zip(&before).all(|(caller, before)| caller.asked.load(Ordering::Relaxed) >= before + 5)
            });
        };
        for at in [0, 1] {
            everyone_asks();
            // Whoever is told to stop is waited for: nobody is cut.
            rustix::process::kill_process(running[at].pid(), rustix::process::Signal::TERM).unwrap();
            everyone_asks();
            until("it ends", || !running[at].is_alive());
            assert!(running[at].status().unwrap().success());
            everyone_asks();
            running[at] = instances[at].start();
            until("both are up", || balancer.up() == 2);
        }
        everyone_asks();
        std::fs::write(&over, "").unwrap();
        reading.into_iter().flat_map(|reading| reading.join().unwrap()).collect()
    });
    for caller in &mut callers {
        assert!(caller.child.wait().unwrap().success());
        eprintln!("{}: {} requests", caller.name, caller.asked.load(Ordering::Relaxed));
    }
    assert_eq!(failed, Vec::<String>::new());
    for (proxy, instance) in running.iter_mut().zip(&instances) {
        assert!(proxy.stop().success());
        let records = crate::support::proxy::journal(&instance.state);
        let cut: Vec<_> = of_kind(&records, "ended").into_iter().filter(|end| end["outcome"] == "cut").collect();
        assert!(cut.is_empty(), "{cut:?}");
        assert!(of_kind(&records, "started").len() == 2 && of_kind(&records, "stopped").len() == 2);
        eprintln!("{}: {} attempts", instance.state.display(), of_kind(&records, "decided").len());
    }
}
