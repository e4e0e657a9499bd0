//! The image: its root file system, made by the script that the Dockerfile calls, and run as a container runtime would run it.

mod container;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::shipped::{are_we_root, is_here, listing, path, runs, said, text, words};

/// All that is in it. Nothing belongs to who runs it but its state, nothing is set-user-ID, and there is no shell.
const FILES: &str = "\
drwxr-xr-x 0:0 etc
drwxr-xr-x 0:0 etc/exeat
drwxr-xr-x 0:0 etc/exeat/allowlists
-rw-r--r-- 0:0 etc/exeat/exeat.toml
drwxr-xr-x 0:0 etc/exeat/floor
-rw-r--r-- 0:0 etc/exeat/floor/floor.toml
-rw-r--r-- 0:0 etc/group
-rw-r--r-- 0:0 etc/passwd
drwxr-xr-x 0:0 etc/ssl
drwxr-xr-x 0:0 etc/ssl/certs
-rw-r--r-- 0:0 etc/ssl/certs/ca-certificates.crt
drwxr-xr-x 0:0 usr
drwxr-xr-x 0:0 usr/bin
-rwxr-xr-x 0:0 usr/bin/exeat
drwxr-xr-x 0:0 usr/share
drwxr-xr-x 0:0 usr/share/doc
drwxr-xr-x 0:0 usr/share/doc/exeat
-rw-r--r-- 0:0 usr/share/doc/exeat/LICENSE-APACHE
-rw-r--r-- 0:0 usr/share/doc/exeat/LICENSE-MIT
-rw-r--r-- 0:0 usr/share/doc/exeat/crates.txt
drwxr-xr-x 0:0 var
drwxr-xr-x 0:0 var/lib
drwx------ 65532:65532 var/lib/exeat
";

/// Runs the script as the Dockerfile does, with the profile of the tests.
fn made() -> TempDir {
    let root = TempDir::with_prefix_in("image-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    said(script(&["dev", root.path().to_str().unwrap()]).stderr(Stdio::inherit()));
    root
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(path("deploy/image.sh"));
    // What a test run is given by Cargo would be another build's.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

#[test]
fn the_image_is_one_static_program_with_what_it_needs_and_serves_in_a_root_of_its_own() {
    let tools = ["readelf", "unshare", "mount", "chroot", "setpriv", "ip"];
    if !is_here(&format!("root and {tools:?}"), are_we_root() && tools.iter().all(|tool| runs(&[tool, "--help"]) || runs(&[tool, "-V"]))) {
        return;
    }
    let ordinary = std::fs::metadata(env!("CARGO_BIN_EXE_exeat")).unwrap().modified().unwrap();
    let root = made();
    assert_eq!(listing(root.path()), FILES);
    assert_eq!(std::fs::metadata(env!("CARGO_BIN_EXE_exeat")).unwrap().modified().unwrap(), ordinary, "the ordinary program was touched");

    let program = root.path().join("usr/bin/exeat");
    let headers = said(Command::new("readelf").args(["--program-headers", "--dynamic"]).arg(&program));
    assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "{headers}");
    let there = |name: &str| std::fs::read_to_string(root.path().join(name)).unwrap();
    assert_eq!(there("etc/passwd"), "exeat:x:65532:65532:exeat:/var/lib/exeat:/usr/sbin/nologin\n");
    assert_eq!(there("etc/group"), "exeat:x:65532:\n");
    assert!(there("etc/ssl/certs/ca-certificates.crt").contains("BEGIN CERTIFICATE"));
    let crates = there("usr/share/doc/exeat/crates.txt");
    assert!(crates.contains(&format!("exeat v{} MIT OR Apache-2.0\n", env!("CARGO_PKG_VERSION"))), "{crates}");
    assert!(!crates.contains(" (/") && crates.lines().any(|line| line.starts_with("hyper v")), "{crates}");

    run_in_a_container(root.path());
}

/// Runs the ignored test below in mount and network namespaces of its own: what it mounts and where it listens ends with it.
fn run_in_a_container(root: &Path) {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "deploy::image::container::it_runs", "--ignored", "--nocapture"]).env("EXEAT_TEST_ROOTFS", root);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && words(&output).contains("1 passed"), "{}", words(&output));
}

#[test]
fn the_script_wants_a_profile_and_a_folder_that_is_empty_and_root() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("there"), "").unwrap();
    let full = folder.path().to_str().unwrap();
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(refused(&mut script(&["dev"])), (Some(2), "usage: image.sh PROFILE FOLDER\n".to_owned()));
    if are_we_root() {
        assert_eq!(refused(&mut script(&["dev", full])), (Some(1), format!("image.sh: {full} is not empty\n")));
    } else {
        let wanted = "image.sh: files of the image belong to root and to 65532; run this as root\n";
        assert_eq!(refused(&mut script(&["dev", full])), (Some(1), wanted.to_owned()));
    }
}

/// The instructions of the Dockerfile, continued lines joined.
fn instructions() -> Vec<String> {
    let text = text("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_dockerfile_calls_the_script_alone_and_says_of_the_image_what_is_so() {
    let said = instructions();
    let of = |word: &str| -> Vec<&str> { said.iter().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect() };
    assert_eq!(of("FROM"), ["${BUILDER} AS builder", "scratch"]);
    assert_eq!(of("RUN"), ["deploy/image.sh release /rootfs"]);
    assert_eq!(of("COPY"), [". .", "--from=builder /rootfs/ /"]);
    assert_eq!(of("USER"), ["65532:65532"]);
    assert_eq!(of("VOLUME"), ["[\"/var/lib/exeat\"]"]);
    assert_eq!(of("STOPSIGNAL"), ["SIGTERM"]);
    assert_eq!(of("ENTRYPOINT"), ["[\"/usr/bin/exeat\"]"]);
    assert_eq!(of("CMD"), ["[\"serve\"]"]);
    let [health] = of("HEALTHCHECK")[..] else { panic!("{said:?}") };
    assert!(health.ends_with("CMD [\"/usr/bin/exeat\", \"doctor\", \"--live\"]"), "{health}");

    let [labels] = of("LABEL")[..] else { panic!("{said:?}") };
    for (label, value) in [
        ("title", env!("CARGO_PKG_NAME")),
        ("version", env!("CARGO_PKG_VERSION")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("revision", "${REVISION}"),
    ] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=\"{value}\"")), "{label} in {labels}");
    }
    let builder = format!("BUILDER=rust:{}-bookworm", env!("CARGO_PKG_RUST_VERSION"));
    assert!(of("ARG").contains(&builder.as_str()), "{said:?}");

    let config: toml::Table = toml::from_str(&text("deploy/image/exeat.toml")).unwrap();
    let port = |table: &toml::Value| table["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    assert_eq!(of("EXPOSE"), [format!("{} {}", port(&config["listen"]["main"]), port(&config["metrics"]))]);
    for path in [config["allowlists"].as_str(), config["floor"].as_str(), config["state"].as_str()] {
        assert!(FILES.contains(&format!(" {}\n", &path.unwrap()[1..])), "{path:?}");
    }
}

/// What the library was made of, by rustc's lists; those of an older build may name files that are gone.
fn made_of() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    let lists =
        std::fs::read_dir(Path::new(env!("CARGO_BIN_EXE_exeat")).with_file_name("deps")).unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "d") && path.file_stem().unwrap().to_str().unwrap().starts_with("exeat-")
    };
    let texts = lists.filter(ours).map(|path| std::fs::read_to_string(path).unwrap()).filter(|text| text.contains(".rlib:"));
    let names = texts.flat_map(|text| text.split_whitespace().map(|word| word.trim_end_matches(':').to_owned()).collect::<Vec<_>>());
    let real =
        names.filter(|name| !name.starts_with('/')).filter_map(|name| root.join(name).canonicalize().ok()).filter(|path| path.is_file());
    real.filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_str().unwrap().to_owned())).collect()
}

#[test]
fn the_builder_is_sent_everything_that_is_compiled_and_no_toolchain_file() {
    let ignored = text(".dockerignore");
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "{ignored}");
    let is_sent = |name: &str| {
        sent.iter().any(|sent| match sent.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *sent || name.starts_with(&format!("{sent}/")),
        })
    };
    let made_of = made_of();
    let compiled: Vec<&str> = made_of.iter().map(String::as_str).collect();
    assert!(["src/lib.rs", "ARCHITECTURE.md"].iter().all(|name| compiled.contains(name)), "{made_of:?}");
    let scripts = [
        "src/main.rs",
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deploy/image.sh",
        "deploy/image/exeat.toml",
        "askama.toml",
    ];
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let benches = manifest["bench"].as_array().unwrap().iter().map(|bench| {
        bench
            .get("path")
            .map_or_else(|| format!("benches/{}.rs", bench["name"].as_str().unwrap()), |path| path.as_str().unwrap().to_owned())
    });
    let benches: Vec<String> = benches.collect();
    let target = |name: &&&str| !name.starts_with("target/");
    for name in compiled.iter().filter(target).copied().chain(scripts).chain(benches.iter().map(String::as_str)) {
        assert!(is_sent(name), "{name} is not sent to the builder");
    }
    for name in ["rust-toolchain.toml", "target/debug/exeat", ".git/config", "tests/it/main.rs", "deploy/compose/secrets/proxy"] {
        assert!(!is_sent(name), "{name} is sent to the builder");
    }
}
