//! CPU of a proxy that looks into TLS, for a new connection with one request and for one more request on a connection: exeat, and beside it
//! mitmproxy and squid with ssl-bump where they are installed (Debian: `mitmproxy`, `squid-openssl`). HTTP/1.1 on both sides, one authority for all.
//!
//! `cargo bench --profile release --bench inspect`, on a machine that does nothing else. CPU is what `/proc/PID/stat` says of the process and of all below it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]
#![expect(clippy::disallowed_methods, reason = "the bench stands outside: it is the agent and the origin")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connections and requests at once.
const AT_ONCE: usize = 4;
const CONNECTIONS: usize = 400;
const REQUESTS: usize = 20_000;
/// Of `/proc/PID/stat` in a second: what the kernel shows to programs (proc(5)), whatever its own clock.
const TICKS: f64 = 100.0;
const BODY: &[u8] = &[b'x'; 1024];

struct World {
    folder: tempfile::TempDir,
    tls: Arc<ClientConfig>,
    origin: u16,
}

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let world = world().await;
    println!("{:>10} {:>22} {:>22}", "proxy", "new connection", "one more request");
    for (name, start) in [("exeat", exeat as fn(&World, u16) -> Option<Command>), ("mitmproxy", mitmproxy), ("squid", squid)] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match start(&world, port) {
            Some(command) => measure(name, &world, command, port).await,
            None => println!("{name:>10} is not installed"),
        }
    }
}

/// A proxy that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(name: &str, world: &World, mut command: Command, port: u16) {
    let proxy = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let proxy_address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(proxy_address).await.is_err() {
        assert!(Instant::now() < deadline, "{name} does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The leaf is minted, and pools are warm.
    load(world, proxy_address, AT_ONCE * 4, 4).await;
    let before = cpu(proxy.0.id());
    load(world, proxy_address, CONNECTIONS, 1).await;
    let between = cpu(proxy.0.id());
    load(world, proxy_address, AT_ONCE, REQUESTS / AT_ONCE).await;
    let after = cpu(proxy.0.id());
    let (new, more) = (between - before, after - between);
    // What opens the few connections of the second round is taken off.
    let opening = new / CONNECTIONS as f64 * AT_ONCE as f64;
    println!("{name:>10} {:>19.0} us {:>19.0} us", new / CONNECTIONS as f64 * 1e6, (more - opening) / (REQUESTS - AT_ONCE) as f64 * 1e6);
}

/// So many connections, with so many requests on each, one after the other.
async fn load(world: &World, proxy: SocketAddr, connections: usize, requests: usize) {
    let mut agents = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (tls, origin) = (world.tls.clone(), world.origin);
        agents.spawn(async move {
            for _ in 0..connections / AT_ONCE {
                visit(&tls, proxy, origin, requests).await;
            }
        });
    }
    while let Some(agent) = agents.join_next().await {
        agent.unwrap();
    }
}

async fn visit(tls: &Arc<ClientConfig>, proxy: SocketAddr, origin: u16, requests: usize) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(format!("CONNECT localhost:{origin} HTTP/1.1\r\nHost: localhost:{origin}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    let stream = TlsConnector::from(tls.clone()).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..requests {
        sender.ready().await.unwrap();
        let request = Request::get("/page").header("host", format!("localhost:{origin}")).body(Full::new(bytes::Bytes::new())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), BODY);
    }
}

/// Seconds of CPU of a process and of all below it, those that have ended included.
fn cpu(root: u32) -> f64 {
    let mut ticks = std::collections::HashMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let number = |place: usize| fields[place].parse::<u64>().unwrap();
        ticks.insert(pid, (u32::try_from(number(1)).unwrap(), (11..15).map(number).sum::<u64>()));
    }
    let is_below = |pid: u32| std::iter::successors(Some(pid), |pid| ticks.get(pid).map(|(parent, _)| *parent)).any(|pid| pid == root);
    let all: u64 = ticks.iter().filter(|(pid, _)| is_below(**pid)).map(|(_, (_, ticks))| ticks).sum();
    all as f64 / TICKS
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "bench");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (certificate, key) = (issuer.pem(), issuer.key().serialize_pem());
    for (name, text) in [("ca.pem", &certificate), ("ca.key", &key), ("mitmproxy-ca.pem", &format!("{key}{certificate}"))] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let key = folder.path().join("ca.key");
    assert!(Command::new("chmod").arg("600").arg(key).status().unwrap().success());
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let origin = serve(leaf.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap()).await;
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
    // Whole handshakes alone: what is resumed would be measured as new.
    tls.resumption = rustls::client::Resumption::disabled();
    World { folder, tls: Arc::new(tls), origin }
}

async fn serve(leaf: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls.with_no_client_auth().with_single_cert(vec![leaf], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let answer =
                    service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(Full::new(bytes::Bytes::from_static(BODY)))) });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    port
}

fn exeat(world: &World, port: u16) -> Option<Command> {
    let folder = world.folder.path();
    let config = format!(
        "allowlists = \"allowlists\"\nstate = \"state\"\n[listen.main]\naddress = [\"127.0.0.1:{port}\"]\nagent = \"a\"\n\
         [inspect]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\n[upstream]\nca = \"ca.pem\"\n"
    );
    let rule = format!(
        "[[allow]]\nhost = \"localhost\"\nport = [{}]\naddresses = [\"127.0.0.0/8\", \"::1/128\"]\npath = [\"/**\"]\n",
        world.origin
    );
    std::fs::write(folder.join("exeat.toml"), config).unwrap();
    std::fs::create_dir_all(folder.join("allowlists")).unwrap();
    std::fs::write(folder.join("allowlists/a.toml"), format!("agent = \"a\"\n{rule}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
    command.arg("--config").arg(folder.join("exeat.toml")).arg("serve");
    Some(command)
}

fn mitmproxy(world: &World, port: u16) -> Option<Command> {
    let there = Command::new("mitmdump").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.ok().filter(std::process::ExitStatus::success)?;
    let folder = world.folder.path().display();
    let mut command = Command::new("mitmdump");
    command.args(["-q", "--listen-host", "127.0.0.1", "--listen-port", &port.to_string()]);
    command.args([
        "--set",
        &format!("confdir={folder}"),
        "--set",
        &format!("ssl_verify_upstream_trusted_ca={folder}/ca.pem"),
        "--set",
        "flow_detail=0",
    ]);
    Some(command)
}

fn squid(world: &World, port: u16) -> Option<Command> {
    let (program, certgen) = (Path::new("/usr/sbin/squid"), "/usr/lib/squid/security_file_certgen");
    if !program.exists() || !Path::new(certgen).exists() {
        return None;
    }
    let folder = world.folder.path().display().to_string();
    let made = Command::new(certgen).args(["-c", "-s", &format!("{folder}/certificates"), "-M", "4MB"]).stdout(Stdio::null()).status();
    assert!(made.unwrap().success(), "squid's store of certificates could not be made");
    let config = format!(
        "http_port 127.0.0.1:{port} ssl-bump tls-cert={folder}/mitmproxy-ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB\n\
         sslcrtd_program {certgen} -s {folder}/certificates -M 4MB\n\
         acl begins at_step SslBump1\nssl_bump peek begins\nssl_bump bump all\ntls_outgoing_options cafile={folder}/ca.pem\n\
         http_access allow all\ncache deny all\naccess_log none\ncache_log {folder}/squid.log\npid_filename none\ncoredump_dir none\n"
    );
    std::fs::write(format!("{folder}/squid.conf"), config).unwrap();
    // As root it becomes another user, who has to read and write here.
    assert!(Command::new("chmod").args(["-R", "a+rwX", &folder]).status().unwrap().success());
    let mut command = Command::new(program);
    command.args(["-N", "-f", &format!("{folder}/squid.conf")]);
    Some(command)
}
