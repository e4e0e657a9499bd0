//! What the clients fetch: a page, a git repository, a Python package index, over HTTP and HTTPS.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::dns::Reply;
use crate::support::origin::{Origin, Request, Step};
use crate::support::site::Site;
use crate::support::tls::{Authority, Terms};
use crate::support::web::Web;

/// Origins on loopback, and agent `a` with listed, blocked and held hosts, one of each for each client.
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) plain: Origin,
    pub(crate) secure: Origin,
    /// Speaks HTTP/2 and WebSocket as well.
    pub(crate) web: Web,
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    fresh: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|plain, secure, _| {
            format!(
                "[[allow]]\nhost = \"*.listed.test\"\nport = [{plain}, {secure}]\naddresses = [\"127.0.0.0/8\"]\n\
                 [[block]]\nhost = \"*.blocked.test\"\nbecause = \"use the mirror\""
            )
        })
    }

    /// As `new`, with the tables of `a` made of the ports of `plain`, `secure` and `web`; the proxy can look into TLS, with the origins' own authority.
    pub(crate) fn with(tables: impl Fn(u16, u16, u16) -> String) -> Self {
        let mut site = Site::new();
        site.set("hold", "wait", "\"60s\"");
        let files = site.path().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("page"), "the page").unwrap();
        make_repository(site.path(), &files);
        make_index(&files);
        let authority = Authority::new();
        let names = ["*.listed.test", "*.held.test"];
        let (one, two) = (files.clone(), files);
        let plain = Origin::http(move |request| serve(&one, request));
        let secure = Origin::https(&authority.identity(&names), move |request| serve(&two, request));
        let web = Web::secure(&authority.present(&Terms::of(&names)));
        for name in ["*.listed.test", "*.blocked.test", "*.held.test"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        site.inspecting(&authority, &authority);
        let tables = tables(plain.port(), secure.port(), web.port());
        site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]", &tables);
        let ca = authority.write(site.path());
        Self { site, plain, secure, web, ca, fresh: AtomicUsize::new(0) }
    }

    /// Adds what package managers other than pip and git fetch.
    pub(crate) fn lay_wares(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/wares.py");
        let status = Command::new(super::table::python()).arg(script).arg(self.site.path().join("files")).status();
        assert!(status.is_ok_and(|status| status.success()), "the wares could not be made");
    }

    /// A new empty folder.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let folder = self.site.path().join(format!("{name}-{}", self.fresh.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

fn serve(files: &Path, request: &Request) -> Vec<Step> {
    if request.target().starts_with("/repo.git/") {
        return serve_git(files, request);
    }
    let path = request.target().split('?').next().unwrap().trim_start_matches('/');
    let mut file = files.join(path);
    if path.split('/').any(|segment| segment == "..") {
        file = files.join("none");
    }
    if file.is_dir() {
        file = file.join("index.html");
    }
    let kind = match path {
        _ if file.extension().is_some_and(|extension| extension == "html") => "text/html",
        _ if path.contains("/manifests/") => "application/vnd.docker.distribution.manifest.v2+json",
        _ => "application/octet-stream",
    };
    let (status, mut body) = std::fs::read(&file).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    if path.starts_with("npm/") || path.starts_with("cargo/config") {
        let origin = format!("https://{}", request.header("host").unwrap_or_default());
        body = String::from_utf8(body.clone()).map_or(body, |text| text.replace("{{ORIGIN}}", &origin).into_bytes());
    }
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    let body = if request.line.starts_with("HEAD ") { Vec::new() } else { body };
    vec![Step::Send([head.into_bytes(), body].concat())]
}

/// Git's smart protocol, by the program that git brings for it (RFC 3875).
fn serve_git(files: &Path, request: &Request) -> Vec<Step> {
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let mut backend = Command::new("git");
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", files).env("GIT_HTTP_EXPORT_ALL", "1").env("GIT_CONFIG_NOSYSTEM", "1");
    backend.env("REQUEST_METHOD", request.line.split(' ').next().unwrap()).env("PATH_INFO", path).env("QUERY_STRING", query);
    backend.env("CONTENT_TYPE", header("content-type")).env("CONTENT_LENGTH", request.body.len().to_string());
    backend.env("HTTP_CONTENT_ENCODING", header("content-encoding")).env("GIT_PROTOCOL", header("git-protocol"));
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let fields: String = head.lines().filter(|line| !line.starts_with("Status: ")).map(|line| format!("{line}\r\n")).collect();
    let body = output.get(end + 4..).unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// A bare repository of one commit.
fn make_repository(scratch: &Path, files: &Path) {
    let git = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder);
        let output = command.env("HOME", scratch).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    };
    let work = scratch.join("work");
    std::fs::create_dir(&work).unwrap();
    git(&["init", "-q"], &work);
    std::fs::write(work.join("file"), "cloned\n").unwrap();
    git(&["add", "file"], &work);
    git(&["commit", "-q", "-m", "one"], &work);
    git(&["clone", "-q", "--bare", ".", files.join("repo.git").to_str().unwrap()], &work);
}

/// An index with one wheel, made by hand: three stored files in a zip archive.
fn make_index(files: &Path) {
    let folder = files.join("simple/exeat-hello");
    std::fs::create_dir_all(&folder).unwrap();
    let wheel = "exeat_hello-1.0-py3-none-any.whl";
    std::fs::write(folder.join("index.html"), format!("<!DOCTYPE html><html><body><a href=\"{wheel}\">{wheel}</a></body></html>")).unwrap();
    let script = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    info = 'exeat_hello-1.0.dist-info/'
    wheel.writestr('exeat_hello.py', 'said = 1')
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: exeat-hello\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
";
    let python = super::table::python();
    let output = Command::new(&python).args(["-c", script]).arg(folder.join(wheel)).output();
    if !output.is_ok_and(|output| output.status.success()) {
        eprintln!("NOTICE: no wheel could be made with {python}");
    }
}
