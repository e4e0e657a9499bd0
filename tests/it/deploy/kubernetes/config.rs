//! What the pods read is what a real exeat takes: `exeat check` on the files as a kubelet mounts them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::chart::unhashed;
use super::{Tools, object};

/// A folder as a ConfigMap is mounted: each key a link into `..data`, which is a link to a folder of one version.
fn mounted(folder: &Path, data: &Value) {
    fs::create_dir_all(folder.join("..2026_11_23_05_00_00.1")).unwrap();
    symlink("..2026_11_23_05_00_00.1", folder.join("..data")).unwrap();
    for (key, text) in data.as_object().unwrap() {
        fs::write(folder.join("..data").join(key), text.as_str().unwrap()).unwrap();
        symlink(format!("..data/{key}"), folder.join(key)).unwrap();
    }
}

/// The rendered ConfigMaps in a folder, which stands for the root of the image.
struct Pod {
    root: tempfile::TempDir,
}

impl Pod {
    fn new(objects: &[Value]) -> Self {
        let pod = Self { root: tempfile::tempdir().unwrap() };
        let map = |part: &str| &object(objects, "ConfigMap", &format!("exeat-{part}"))["data"];
        mounted(&pod.at("etc/exeat/allowlists"), map("allowlists"));
        if objects.iter().any(|one| one["metadata"]["name"] == "exeat-floor") {
            mounted(&pod.at("etc/exeat/floor"), map("floor"));
        }
        let toml = map("config")["exeat.toml"].as_str().unwrap();
        let here = |path: &str| format!("\"{}", pod.at(path).display());
        let toml = toml.replace("\"/etc/exeat", &here("etc/exeat")).replace("\"/var/lib", &here("var/lib"));
        fs::write(pod.at("etc/exeat/exeat.toml"), toml).unwrap();
        pod
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    fn ran(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
        command.arg("--config").arg(self.at("etc/exeat/exeat.toml")).args(arguments);
        command.env_clear().env("GITHUB_TOKEN", "x").env("NO_COLOR", "1").output().unwrap()
    }

    /// The exit code of `exeat check` and all that it says.
    fn checked(&self) -> (Option<i32>, String) {
        let output = self.ran(&["check"]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

#[test]
fn every_rendered_configuration_is_one_that_exeat_takes() {
    let Some(tools) = Tools::find() else { return };
    let telemetry = r#"{"extraConfig":"[telemetry]\nstdout = true\n"}"#;
    let variants: [(&str, &[&str]); 7] = [
        ("gateway", &[]),
        ("gateway", &["replicas=3", "approvals.enabled=false", "drain.time=40s"]),
        ("gateway", &["admin.enabled=true", "operators.namespaces={ingress}", "admin.hosts={exeat.corp.example}"]),
        ("gateway", &[r#"{"ipFamilies":["IPv6","IPv4"],"service":{"clusterIP":"fd00:10:96::1f1c"}}"#, telemetry]),
        ("gateway", &["dns.servers={10.96.0.10}", "guard.never={10.96.0.0/12,10.96.0.1}"]),
        ("sidecar", &[]),
        ("sidecar", &["ipFamilies={IPv4,IPv6}"]),
    ];
    let mut rendered: Vec<_> = variants.map(|(values, set)| (format!("{values} {set:?}"), tools.template(values, set))).into();
    let overlay = tools.kustomize("deploy/kubernetes/examples/overlay");
    rendered.push(("overlay".to_owned(), unhashed(&overlay)));
    for (name, manifests) in rendered {
        let (code, said) = Pod::new(&tools.objects(&manifests)).checked();
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains("agent coder, "), "{name}: {said}");
    }
}

#[test]
fn a_broken_allowlist_or_configuration_is_found() {
    let Some(tools) = Tools::find() else { return };
    for (set, words) in [
        (r#"{"allowlists":{"broken":"agent = \"broken\"\n[[allow]]\nhost = \"*.com\"\n"}}"#, "broken.toml:3"),
        (r#"{"floor":"[[block]]\nhots = \"a.example\"\n"}"#, "hots"),
        (r#"{"extraConfig":"[telemetry]\nstdoud = true\n"}"#, "stdoud"),
        (r#"{"extraConfig":"[[hold.notify]]\nnothing = 1\n"}"#, "exeat.toml"),
    ] {
        let pod = Pod::new(&tools.objects(&tools.template("gateway", &[set])));
        let (code, said) = pod.checked();
        assert_eq!(code, Some(1), "{set}: {said}");
        assert!(said.contains(words), "{set}: {said}");
    }
}

#[test]
fn a_new_version_of_a_config_map_is_read_whole() {
    let Some(tools) = Tools::find() else { return };
    let pod = Pod::new(&tools.objects(&tools.template("gateway", &[])));
    let folder = pod.at("etc/exeat/allowlists");
    let next = folder.join("..2026_11_23_06_00_00.2");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("coder.toml"), "agent = \"coder\"\n[[allow]]\nhost = \"new.example\"\n").unwrap();
    symlink("..2026_11_23_06_00_00.2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    let explained = pod.ran(&["explain", "coder", "new.example:443"]);
    assert_eq!(explained.status.code(), Some(0), "{explained:?}");
    assert_eq!(pod.ran(&["explain", "coder", "api.openai.com:443"]).status.code(), Some(11));
}

#[test]
fn a_state_that_cannot_be_written_stops_the_start_and_says_what_to_change() {
    let Some(tools) = Tools::find() else { return };
    let pod = Pod::new(&tools.objects(&tools.template("gateway", &[])));
    let file = pod.at("etc/exeat/exeat.toml");
    let text = fs::read_to_string(&file).unwrap();
    // A process may not make folders in /proc, root neither: as in a ConfigMap.
    let state = text.lines().find(|line| line.starts_with("state")).unwrap();
    fs::write(&file, text.replace(state, "state = \"/proc/exeat/state\"").replace("0.0.0.0:", "127.0.0.1:1")).unwrap();
    let output = pod.ran(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/proc/exeat/state cannot be used") && said.contains("name another in `state`"), "{said}");
}

#[test]
fn an_address_that_is_not_the_pods_stops_the_start_with_its_name() {
    let Some(tools) = Tools::find() else { return };
    let pod = Pod::new(&tools.objects(&tools.template("gateway", &[])));
    let file = pod.at("etc/exeat/exeat.toml");
    let text = fs::read_to_string(&file).unwrap();
    // As `[::]` in a pod without IPv6: an address that this machine does not have.
    fs::write(&file, text.replace("0.0.0.0:3128", "[2001:db8::1]:13128").replace("0.0.0.0:9464", "127.0.0.1:0")).unwrap();
    let output = pod.ran(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("[2001:db8::1]:13128") && said.contains("main"), "{said}");
}
