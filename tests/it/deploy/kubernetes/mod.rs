//! `deploy/kubernetes`: the chart and the kustomize bases say the same, are valid, refuse what contradicts, and configure a real exeat.
//!
//! Needs helm, kubectl, and a Python with kubernetes-validate and a CEL evaluator, which `.ci/run` installs below `target/`; without them it is
//! skipped with a notice, and fails with `EXEAT_TEST_CLIENTS=all`. `EXEAT_TEST_WRITE=kubernetes` writes what is generated.

mod admission;
mod chart;
mod config;
mod examples;
pub(crate) mod page;
mod pods;
mod refusals;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Where the tools are.
pub(crate) struct Tools {
    /// A folder with helm and kubectl.
    pub(crate) bin: PathBuf,
    python: PathBuf,
}

impl Tools {
    /// Nothing where they are not all here, which is an error if they must be.
    pub(crate) fn find() -> Option<Self> {
        let target = Path::new(env!("CARGO_BIN_EXE_exeat")).ancestors().nth(2).unwrap();
        let folders = std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect());
        let has_both = |folder: &PathBuf| ["helm", "kubectl"].iter().all(|name| folder.join(name).is_file());
        let bin = folders.into_iter().chain([target.join("tools/bin")]).find(has_both);
        let python = std::env::var_os("EXEAT_TEST_PYTHON").map_or_else(|| target.join("test-python/bin/python"), PathBuf::from);
        let wanted = "import kubernetes_validate, yaml, cel_expr_python";
        let imports = Command::new(&python).args(["-c", wanted]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if let (Some(bin), true) = (bin, imports) {
            return Some(Self { bin, python });
        }
        assert!(std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "helm, kubectl or the Python packages are not installed");
        eprintln!("NOTICE: helm, kubectl or the Python packages are not installed, manifests were not looked at");
        None
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let home = tempfile::tempdir().unwrap();
        Command::new(self.bin.join(name)).args(arguments).env("HOME", home.path()).current_dir(root()).output().unwrap()
    }

    fn said(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `helm template` with the values of a file and more of them.
    fn try_template(&self, values: &str, set: &[&str]) -> Output {
        let values = format!("{CHART}/ci/{values}-values.yaml");
        let more = set.iter().flat_map(|one| [if one.starts_with('{') { "--set-json" } else { "--set" }, one]);
        let arguments: Vec<&str> = ["template", "exeat", CHART, "-n", "exeat-system", "-f", &values].into_iter().chain(more).collect();
        self.run("helm", &arguments)
    }

    fn template(&self, values: &str, set: &[&str]) -> String {
        let output = self.try_template(values, set);
        assert!(output.status.success(), "{set:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn kustomize(&self, folder: &str) -> String {
        self.said("kubectl", &["kustomize", folder])
    }

    /// The objects of manifests.
    fn objects(&self, manifests: &str) -> Vec<Value> {
        let file = written(manifests);
        let output = self.look(&["json", file.path().to_str().unwrap()], "");
        serde_json::from_str(&output).unwrap()
    }

    /// Runs `look.py`.
    fn look(&self, arguments: &[&str], input: &str) -> String {
        let script = root().join("tests/it/deploy/kubernetes/look.py");
        let mut command = Command::new(&self.python);
        command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether the schemas of a Kubernetes take manifests, in strict mode, and what they say.
    fn validate(&self, minor: &str, manifests: &str) -> (bool, String) {
        let file = written(manifests);
        let arguments = ["-m", "kubernetes_validate", "--strict", "-k", minor, file.path().to_str().unwrap()];
        let output = Command::new(&self.python).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

const CHART: &str = "deploy/kubernetes/chart";

/// The oldest that the chart takes, the newest, and one between.
const MINORS: [&str; 3] = ["1.30.0", "1.34.0", "1.37.0"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The object of a kind and name.
fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |one: &&Value| one["kind"] == kind && one["metadata"]["name"] == name;
    objects.iter().find(is).unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// What is generated is as it is kept, and kept where that is asked for.
fn assert_kept(path: &str, text: &str) {
    if std::env::var("EXEAT_TEST_WRITE").as_deref() == Ok("kubernetes") {
        fs::create_dir_all(root().join(path).parent().unwrap()).unwrap();
        fs::write(root().join(path), text).unwrap();
    }
    let kept = fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(kept == text, "{path} is not what is rendered; EXEAT_TEST_WRITE=kubernetes writes it:\n{text}");
}
