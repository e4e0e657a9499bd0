//! What a container runtime does with the image: a root that cannot be written, its own process numbers, uid 65532, no capabilities, no way to gain any.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use super::super::shipped::{said, words};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::proxy::ours;
use crate::support::site::{Site, credentials};
use crate::support::talk::Talk;
use crate::support::tls::Authority;
use crate::support::wait::until;

const USER: u32 = 65532;

/// What the runtime mounts: devices that the OCI specification promises, the state, and the three files that this user brings. Then nothing can be written.
const MOUNTS: &str = r#"
set -eu
root="$1" brought="$2"
ip link set lo up
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/dev" "$root/etc/exeat/certs"
mount -t tmpfs -o mode=0755 dev "$root/dev"
for device in null random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=0700,uid=65532,gid=65532 state "$root/var/lib/exeat"
mount --bind "$brought/allowlists" "$root/etc/exeat/allowlists"
mount --bind "$brought/certs" "$root/etc/exeat/certs"
mount --bind "$brought/roots.pem" "$root/etc/ssl/certs/ca-certificates.crt"
for place in . dev etc/exeat/allowlists etc/exeat/certs etc/ssl/certs/ca-certificates.crt; do
  mount -o remount,bind,ro "$root/$place"
done
"#;

/// The first process of the container becomes exeat itself.
const START: &str = r#"
mount -t proc -o ro proc "$1/proc"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$1" /usr/bin/exeat serve
"#;

/// What the configuration of the image does not say.
struct Brought {
    site: Site,
    /// Signs what agents see.
    ours: Authority,
    origin: Origin,
}

impl Brought {
    /// An allowlist, a private authority among the roots, and one to look inside TLS with.
    fn new() -> Self {
        let (ours, origins) = (Authority::named("exeat"), Authority::named("origins"));
        let origin = Origin::https(&origins.identity(&["web.test"]), |request| ok(&format!("reached {}", request.target())));
        let site = Site::new();
        site.dns.script("web.test", [Reply::to(["127.0.0.1"])]);
        let port = origin.address.port();
        let rules = format!("[[allow]]\nhost = \"web.test\"\nport = {port}\naddresses = [\"127.0.0.0/8\"]\nmethod = [\"GET\"]\n");
        site.agent("c", "unlisted = \"hold\"", &rules);
        let certs = site.path().join("certs");
        fs::create_dir(&certs).unwrap();
        let (certificate, key) = ours.signing();
        fs::write(certs.join("ca.pem"), certificate).unwrap();
        fs::write(certs.join("ca.key"), key).unwrap();
        fs::set_permissions(certs.join("ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
        chown(certs.join("ca.key"), Some(USER), Some(USER)).unwrap();
        fs::write(site.path().join("roots.pem"), origins.signing().0).unwrap();
        // The folder is the test's own.
        fs::set_permissions(site.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { site, ours, origin }
    }
}

/// The running image.
struct Container {
    root: PathBuf,
    environment: Vec<(&'static str, String)>,
    child: Child,
}

impl Container {
    fn start(root: &Path, brought: &Brought) -> Self {
        said(Command::new("sh").args(["-c", MOUNTS, "mounts"]).arg(root).arg(brought.site.path()));
        let environment = vec![
            ("EXEAT_DNS_SERVERS", brought.site.dns.address.to_string()),
            ("EXEAT_INSPECT_CA_CERT", "/etc/exeat/certs/ca.pem".to_owned()),
            ("EXEAT_INSPECT_CA_KEY", "/etc/exeat/certs/ca.key".to_owned()),
        ];
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", START, "start"]).arg(root);
        let child = clean(&mut command, &environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut container = Self { root: root.to_owned(), environment, child };
        until("it starts", || {
            assert!(container.child.try_wait().unwrap().is_none(), "it does not start: {}", container.words());
            Talk::try_to(([127, 0, 0, 1], 9464).into()).is_some()
        });
        container
    }

    /// Runs a command in it, as `docker exec` does.
    fn exec(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--no-new-privs", "chroot", "--userspec=65532:65532", "--groups="]).arg(&self.root).arg("/usr/bin/exeat");
        clean(command.args(arguments), &self.environment).stdin(Stdio::null()).output().unwrap()
    }

    /// The number by which this machine knows its first process.
    fn pid(&self) -> i32 {
        let unshare = self.child.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// What the kernel says of that process.
    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// As `docker stop`: SIGTERM to the first process, and a wait.
    fn stop(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("it stops", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// All it said, once it has ended.
    fn words(&mut self) -> String {
        let mut text = String::new();
        let (mut out, mut err) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        out.read_to_string(&mut text).unwrap();
        err.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn clean<'a>(command: &'a mut Command, environment: &[(&'static str, String)]) -> &'a mut Command {
    for name in ours() {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (*name, value))).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR")
}

#[test]
#[ignore = "started by the test of the image, in namespaces of its own"]
fn it_runs() {
    let root = PathBuf::from(std::env::var_os("EXEAT_TEST_ROOTFS").expect("the test of the image names the root"));
    let brought = Brought::new();
    let mut container = Container::start(&root, &brought);
    assert_eq!(container.status("NSpid").split(' ').next_back(), Some("1"));
    assert_eq!(container.status("Uid"), "65532 65532 65532 65532");
    assert_eq!((container.status("CapPrm"), container.status("NoNewPrivs")), ("0000000000000000".into(), "1".into()));

    // The name is looked up without the C library, and the origin believed by the image's roots.
    let proxy = ([127, 0, 0, 1], 3128).into();
    let port = brought.origin.address.port();
    let mut talk = Talk::to(proxy);
    assert_eq!(talk.connect(&format!("web.test:{port}"), &credentials("c")).status, 200);
    let mut inside = talk.tls(&brought.ours, "web.test").unwrap_or_else(|alert| panic!("{alert:?}"));
    inside.send(format!("GET /page HTTP/1.1\r\nHost: web.test:{port}\r\n\r\n"));
    let answer = inside.answer();
    assert_eq!((answer.status, answer.text()), (200, "reached /page".to_owned()), "{}", answer.text());

    let unlisted = Talk::to(proxy).connect("elsewhere.test:443", &credentials("c"));
    assert_eq!((unlisted.status, unlisted.reason()), (403, "unattended".to_owned()));
    for (arguments, expected) in [(&["doctor", "--live"][..], 0), (&["doctor", "--ready"], 0), (&["holds", "--json"], 0)] {
        let output = container.exec(arguments);
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {}", words(&output));
    }
    let holds = String::from_utf8(container.exec(&["holds", "--json"]).stdout).unwrap();
    assert!(holds.contains("elsewhere.test"), "the admin socket answers whoever runs it: {holds}");

    assert_eq!(container.stop().code(), Some(0));
    let output = container.exec(&["verify"]);
    assert!(output.status.success(), "the journal is sealed: {}", words(&output));
    assert_eq!(container.exec(&["doctor", "--live"]).status.code(), Some(1), "nobody is alive any more");
    let said = container.words();
    assert!(!said.contains("panicked") && !said.contains("ERROR"), "{said}");
}
