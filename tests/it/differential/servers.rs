//! Real HTTP servers that say what they read: each request's connection, method, target and body.
//!
//! A server that is not installed is skipped with a notice; with `EXEAT_TEST_CLIENTS=all` all must be there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// A request as a server read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) target: String,
    /// With `?` for every byte over ASCII.
    pub(crate) body: String,
}

/// Bytes as every server can write them down.
pub(crate) fn plain(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    said: Said,
    child: Option<Child>,
}

/// Where a server says what it read.
enum Said {
    /// Lines in a file.
    File(PathBuf, fn(&[u8]) -> Option<(Ipv4Addr, Heard)>),
    Here(Arc<Mutex<Vec<(Ipv4Addr, Heard)>>>),
}

impl Server {
    /// What it read so far, by the address of the connection's other end.
    pub(crate) fn heard(&self) -> HashMap<Ipv4Addr, Vec<Heard>> {
        let all = match &self.said {
            Said::Here(heard) => heard.lock().unwrap().clone(),
            Said::File(path, read) => {
                let text = std::fs::read(path).unwrap_or_default();
                let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(read).collect()
            }
        };
        let mut by_source: HashMap<Ipv4Addr, Vec<Heard>> = HashMap::new();
        for (from, heard) in all {
            by_source.entry(from).or_default().push(heard);
        }
        by_source
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a server is started: the command, its configuration at `PORT` in `FOLDER`, and how its lines are read.
struct Kind {
    name: &'static str,
    /// A shell command that succeeds where it is installed.
    probe: String,
    /// Configuration or program, written to `FOLDER/NAME`.
    file: &'static str,
    command: Vec<String>,
    /// Where it writes lines, if not on standard output.
    log: Option<&'static str>,
    read: fn(&[u8]) -> Option<(Ipv4Addr, Heard)>,
}

const NGINX: &str = r#"
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log FOLDER/nginx.err;
events { worker_connections 256; }
http {
  log_format heard escape=json '{"from":"$remote_addr","status":$status,"method":"$request_method","target":"$request_uri","body":"$request_body"}';
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi; uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  client_body_buffer_size 256k; client_body_in_single_buffer on; keepalive_requests 10000;
  server { listen 127.0.0.1:PORT; access_log FOLDER/nginx.log heard; location / { proxy_pass http://unix:FOLDER/nginx.sock:; } }
  server { listen unix:FOLDER/nginx.sock; access_log off; location / { return 200; } }
}
"#;

const HAPROXY: &str = r#"
global
  log stdout len 65535 format raw local0
  maxconn 200
defaults
  mode http
  log global
  timeout client 10s
  timeout http-request 10s
  timeout http-keep-alive 10s
frontend heard
  bind 127.0.0.1:PORT
  option http-buffer-request
  http-request set-var(txn.body) req.body,base64
  log-format "%ci %ST %HM %HU [%[var(txn.body)]]"
  http-request return status 200
"#;

const NODE: &str = r#"
const fs = require('fs');
require('http').createServer((asked, answer) => {
  const pieces = [];
  asked.on('data', piece => pieces.push(piece)).on('end', () => {
    fs.writeSync(1, JSON.stringify({ from: asked.socket.remoteAddress, status: 200, method: asked.method, target: asked.url, body: Buffer.concat(pieces).toString('latin1') }) + '\n');
    answer.end();
  });
}).listen(PORT, '127.0.0.1');
"#;

const H11: &str = r#"
import json, os, socket, threading
import h11

def serve(peer, source):
    connection, asked, body = h11.Connection(h11.SERVER), None, b''
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(peer.recv(65536))
            elif isinstance(event, h11.Request):
                asked, body = event, b''
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                line = {'from': source, 'status': 200, 'method': asked.method.decode(), 'target': asked.target.decode('latin-1'), 'body': body.decode('latin-1')}
                os.write(1, (json.dumps(line) + '\n').encode())
                peer.sendall(connection.send(h11.Response(status_code=200, headers=[('Content-Length', '0')])) + connection.send(h11.EndOfMessage()))
                if connection.our_state is h11.MUST_CLOSE:
                    break
                connection.start_next_cycle()
            else:
                break
    except (h11.RemoteProtocolError, OSError):
        pass
    peer.close()

door = socket.create_server(('127.0.0.1', PORT))
while True:
    peer, address = door.accept()
    threading.Thread(target=serve, args=(peer, address[0]), daemon=True).start()
"#;

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn kinds() -> [Kind; 4] {
    let python = std::env::var("EXEAT_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    [
        Kind {
            name: "nginx",
            probe: "nginx -v || /usr/sbin/nginx -v".to_owned(),
            file: NGINX,
            command: words([
                "sh",
                "-c",
                "exec \"$(command -v nginx || echo /usr/sbin/nginx)\" -e \"$1/nginx.err\" -p \"$1\" -c \"$1/nginx\"",
                "sh",
                "FOLDER",
            ]),
            log: Some("nginx.log"),
            read: of_json,
        },
        Kind {
            name: "haproxy",
            probe: "haproxy -v || /usr/sbin/haproxy -v".to_owned(),
            file: HAPROXY,
            command: words(["sh", "-c", "exec \"$(command -v haproxy || echo /usr/sbin/haproxy)\" -db -f \"$1/haproxy\"", "sh", "FOLDER"]),
            log: None,
            read: of_haproxy,
        },
        Kind {
            name: "node",
            probe: "node --version".to_owned(),
            file: NODE,
            command: words(["node", "FOLDER/node"]),
            log: None,
            read: of_json,
        },
        Kind {
            name: "h11",
            probe: format!("'{python}' -c 'import h11'"),
            file: H11,
            command: words([&python, "FOLDER/h11"]),
            log: None,
            read: of_json,
        },
    ]
}

fn of_json(line: &[u8]) -> Option<(Ipv4Addr, Heard)> {
    // nginx writes bytes as they are, the others text.
    let line = String::from_utf8(line.to_vec()).unwrap_or_else(|_bytes| plain(line));
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    let text = |name: &str| plain_text(value[name].as_str().unwrap());
    let heard = Heard { method: text("method"), target: text("target"), body: text("body") };
    (value["status"] == 200).then(|| (text("from").parse().unwrap(), heard))
}

fn plain_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn of_haproxy(line: &[u8]) -> Option<(Ipv4Addr, Heard)> {
    let text = plain(line);
    let mut words = text.split(' ');
    let (from, status, method, target, body) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let body = body.trim_matches(['[', ']']).replace('-', "");
    let body = plain(&data_encoding::BASE64.decode(body.as_bytes()).unwrap());
    (status == "200").then(|| (from.parse().unwrap(), Heard { method: method.to_owned(), target: target.to_owned(), body }))
}

/// Starts every server that is here.
pub(crate) fn start(folder: &Path) -> Vec<Server> {
    let mut servers = vec![hyper_here()];
    for kind in kinds() {
        let probe = Command::new("sh").args(["-c", &kind.probe]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let here = probe.is_ok_and(|status| status.success());
        assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "{} is not installed", kind.name);
        if here {
            servers.push(spawn(&kind, folder));
        } else {
            eprintln!("NOTICE: {} is not installed, nothing is compared with it", kind.name);
        }
    }
    servers
}

/// Starts one; another port if somebody was faster.
fn spawn(kind: &Kind, folder: &Path) -> Server {
    for _ in 0..5 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fill = |text: &str| text.replace("FOLDER", folder.to_str().unwrap()).replace("PORT", &address.port().to_string());
        std::fs::write(folder.join(kind.name), fill(kind.file)).unwrap();
        let out = folder.join(format!("{}.out", kind.name));
        let command: Vec<String> = kind.command.iter().map(|word| fill(word)).collect();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(folder.join(format!("{}.err", kind.name))).unwrap())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() {
                let log = kind.log.map_or(out, |log| folder.join(log));
                return Server { name: kind.name, address, said: Said::File(log, kind.read), child: Some(child) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    let errors = std::fs::read_to_string(folder.join(format!("{}.err", kind.name)));
    panic!("{} does not start: {errors:?}", kind.name);
}

/// hyper, in a thread of this process.
fn hyper_here() -> Server {
    let heard: Arc<Mutex<Vec<(Ipv4Addr, Heard)>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let said = Said::Here(heard.clone());
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, peer)) = listener.accept().await {
                let heard = heard.clone();
                let service = service_fn(move |request| listen(request, peer.ip(), heard.clone()));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    Server { name: "hyper", address, said, child: None }
}

async fn listen(
    request: Request<Incoming>,
    from: IpAddr,
    heard: Arc<Mutex<Vec<(Ipv4Addr, Heard)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        let line = Heard { method: head.method.to_string(), target: head.uri.to_string(), body: plain(&body.to_bytes()) };
        let IpAddr::V4(from) = from else { return Ok(Response::new(Full::default())) };
        heard.lock().unwrap().push((from, line));
    }
    Ok(Response::new(Full::default()))
}
