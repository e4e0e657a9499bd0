//! The Debian package: made by the script that packagers run, of the program that is tested, then unpacked and looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::shipped::{is_here, listing, path, runs, said, text, words};
use crate::support::proxy::exeat;

/// All that is in it; the pages of the manual and of the reference are counted apart.
const FILES: &str = "\
drwxr-xr-x etc
drwxr-xr-x etc/exeat
-rw-r--r-- etc/exeat/exeat.toml
-rw-r--r-- etc/exeat/floor.toml
drwxr-xr-x usr
drwxr-xr-x usr/bin
-rwxr-xr-x usr/bin/exeat
drwxr-xr-x usr/lib
drwxr-xr-x usr/lib/systemd
drwxr-xr-x usr/lib/systemd/system
-rw-r--r-- usr/lib/systemd/system/exeat-main.socket
-rw-r--r-- usr/lib/systemd/system/exeat.service
drwxr-xr-x usr/lib/systemd/user
-rw-r--r-- usr/lib/systemd/user/exeat-main.socket
-rw-r--r-- usr/lib/systemd/user/exeat.service
drwxr-xr-x usr/lib/sysusers.d
-rw-r--r-- usr/lib/sysusers.d/exeat.conf
drwxr-xr-x usr/lib/tmpfiles.d
-rw-r--r-- usr/lib/tmpfiles.d/exeat.conf
drwxr-xr-x usr/share
drwxr-xr-x usr/share/bash-completion
drwxr-xr-x usr/share/bash-completion/completions
-rw-r--r-- usr/share/bash-completion/completions/exeat
drwxr-xr-x usr/share/doc
drwxr-xr-x usr/share/doc/exeat
-rw-r--r-- usr/share/doc/exeat/changelog.Debian.gz
-rw-r--r-- usr/share/doc/exeat/copyright
drwxr-xr-x usr/share/doc/exeat/examples
-rw-r--r-- usr/share/doc/exeat/examples/agent.conf
-rw-r--r-- usr/share/doc/exeat/examples/credentials.conf
drwxr-xr-x usr/share/fish
drwxr-xr-x usr/share/fish/vendor_completions.d
-rw-r--r-- usr/share/fish/vendor_completions.d/exeat.fish
drwxr-xr-x usr/share/man
drwxr-xr-x usr/share/man/man1
drwxr-xr-x usr/share/zsh
drwxr-xr-x usr/share/zsh/vendor-completions
-rw-r--r-- usr/share/zsh/vendor-completions/_exeat
";

/// Every command's name, as help lists it.
fn commands() -> Vec<String> {
    let help = said(exeat(None).arg("--help"));
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0.to_owned();
    list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned)).collect()
}

#[test]
fn every_command_has_a_page_in_the_manual() {
    let folder = TempDir::new().unwrap();
    said(exeat(None).arg("man").arg(folder.path()));
    let pages: Vec<String> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for command in commands().iter().filter(|command| *command != "help") {
        let page = format!("exeat-{command}.1");
        assert!(pages.contains(&page), "{page} in {pages:?}");
        let text = fs::read_to_string(folder.path().join(&page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS") && text.contains(".SH OPTIONS"), "{page}: {text}");
    }
    assert!(pages.contains(&"exeat.1".to_owned()) && pages.contains(&"exeat-ca-init.1".to_owned()), "{pages:?}");
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    if runs(&["man", "--version"]) {
        for page in &pages {
            let output =
                Command::new("man").args(["--warnings", "-l"]).arg(folder.path().join(page)).env("MANROFFSEQ", "").output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{page}: {}", words(&output));
        }
    }
}

#[test]
fn pages_are_written_nowhere_but_into_a_folder_that_is_there() {
    let output = exeat(None).args(["man", "/nowhere/at/all"]).output().unwrap();
    let wanted = "exeat: the pages cannot be written to /nowhere/at/all; name a folder that is there: No such file or directory\n";
    assert_eq!((output.status.code(), words(&output)), (Some(1), wanted.to_owned()));
}

#[test]
fn what_the_metadata_names_is_there_and_of_this_version() {
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let assets = package["assets"].as_array().unwrap();
    let made = assets.iter().map(|asset| asset[0].as_str().unwrap()).filter(|from| !from.starts_with("target/release/"));
    for from in made {
        let folder = path(from.rsplit_once('/').unwrap().0);
        let ending = from.rsplit('*').next().unwrap();
        let there = fs::read_dir(&folder).unwrap().any(|entry| {
            let found = entry.unwrap().path();
            if from.contains('*') { found.to_string_lossy().ends_with(ending) } else { found == path(from) }
        });
        assert!(there, "{from}");
    }
    let changelog = text(package["changelog"].as_str().unwrap());
    assert!(changelog.starts_with(&format!("exeat ({}-1) ", env!("CARGO_PKG_VERSION"))), "{changelog}");
    let [units] = package["systemd-units"].as_array().unwrap().as_slice() else { panic!("one table of units") };
    assert!(path(units["unit-scripts"].as_str().unwrap()).join("exeat.service").exists());
}

#[test]
fn the_configuration_of_the_package_loads_and_refuses_everyone_until_there_is_an_allowlist() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("allowlists")).unwrap();
    fs::write(at("floor.toml"), text("deploy/debian/floor.toml")).unwrap();
    let config = root.path().join("exeat.toml");
    let given = text("deploy/debian/exeat.toml");
    fs::write(&config, given.replace("/etc/exeat", root.path().to_str().unwrap()).replace("/var/lib/exeat", &at("state"))).unwrap();
    let check = || exeat(Some(&config)).arg("check").output().unwrap();
    let empty = check();
    assert!(!empty.status.success() && words(&empty).contains("a folder without allowlists"), "{}", words(&empty));
    fs::write(at("allowlists/coder.toml"), "agent = \"coder\"\n").unwrap();
    let with_one = check();
    assert!(with_one.status.success(), "{}", words(&with_one));
}

/// A folder that Cargo's tools take for the target of a release: the program that is tested, and links to what it was made with.
fn released() -> TempDir {
    let target = TempDir::with_prefix_in("package-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir(target.path().join("release")).unwrap();
    let program = target.path().join("release/exeat");
    said(Command::new("strip").args(["--strip-debug", "-o"]).arg(&program).arg(env!("CARGO_BIN_EXE_exeat")));
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    target
}

#[test]
fn the_package_holds_what_it_says_and_installs_a_user_a_service_and_their_folders() {
    let tools = [&["cargo", "deb", "--version"][..], &["dpkg-deb", "--version"], &["strip", "--version"]];
    if !is_here("cargo-deb, dpkg-deb and strip", tools.iter().all(|tool| runs(tool))) {
        return;
    }
    let (target, out) = (released(), TempDir::new().unwrap());
    let mut command = Command::new(path("deploy/package.sh"));
    said(command.arg(out.path()).args(["--fast", "--no-strip", "--quiet"]).env("CARGO_TARGET_DIR", target.path()));
    let built: Vec<_> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [package] = &built[..] else { panic!("{built:?}") };
    let name = package.file_name().unwrap().to_string_lossy();
    assert!(name.starts_with(&format!("exeat_{}-1_", env!("CARGO_PKG_VERSION"))) && name.ends_with(".deb"), "{name}");

    let (files, control) = (out.path().join("files"), out.path().join("control"));
    said(Command::new("dpkg-deb").arg("-x").arg(package).arg(&files));
    said(Command::new("dpkg-deb").arg("-e").arg(package).arg(&control));
    holds_what_it_says(&files);
    let field = |name: &str| said(Command::new("dpkg-deb").arg("-f").arg(package).arg(name)).trim().to_owned();
    assert_eq!(field("Package"), "exeat");
    assert!(field("Depends").contains("libc6") && field("Depends").contains("ca-certificates"), "{}", field("Depends"));
    assert_eq!(fs::read_to_string(control.join("conffiles")).unwrap(), "/etc/exeat/exeat.toml\n/etc/exeat/floor.toml\n");
    let after = fs::read_to_string(control.join("postinst")).unwrap();
    let places: Vec<Option<usize>> =
        ["systemd-sysusers", "systemd-tmpfiles --create exeat.conf", "deb-systemd-helper enable exeat.service"]
            .map(|step| after.find(step))
            .to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "user, folders, service, in this order: {after}");
    assert!(!after.contains("exeat-main.socket"), "the socket is the administrator's choice: {after}");

    if runs(&["lintian", "--version"]) {
        let lintian = Command::new("lintian")
            .args(["--allow-root", "--tag-display-limit", "0", "--suppress-tags", SUPPRESSED])
            .arg(package)
            .output()
            .unwrap();
        assert!(lintian.status.success() && lintian.stdout.is_empty(), "{}", words(&lintian));
    }
}

/// The program of a test has its symbols, Cargo's description is a sentence, and Debian has no bug for this package.
const SUPPRESSED: &str = "unstripped-binary-or-object,description-synopsis-starts-with-article,initial-upload-closes-no-bugs";

fn holds_what_it_says(files: &Path) {
    let listed = listing(files).replace(" 0:0 ", " ");
    let is_page = |line: &&str| line.contains("/man1/") || (line.ends_with(".md") && line.contains("usr/share/doc/exeat/"));
    let (pages, rest): (Vec<&str>, Vec<&str>) = listed.lines().partition(is_page);
    let owner = format!(" {}:{} ", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    assert_eq!(rest.join("\n").replace(&owner, " ") + "\n", FILES);
    for page in ["man1/exeat.1.gz", "man1/exeat-serve.1.gz", "doc/exeat/configuration.md", "doc/exeat/allowlists.md"] {
        assert!(pages.iter().any(|line| line.starts_with("-rw-r--r--") && line.ends_with(page)), "{page} in {pages:?}");
    }
    for (shell, script) in [
        ("bash", "bash-completion/completions/exeat"),
        ("zsh", "zsh/vendor-completions/_exeat"),
        ("fish", "fish/vendor_completions.d/exeat.fish"),
    ] {
        let text = fs::read_to_string(files.join("usr/share").join(script)).unwrap();
        assert_eq!(text, said(exeat(None).args(["completions", shell])), "{shell}");
        if runs(&[shell, "--version"]) {
            said(Command::new(shell).arg("-n").arg(files.join("usr/share").join(script)));
        }
    }
    let program = said(Command::new(files.join("usr/bin/exeat")).arg("--version"));
    assert_eq!(program, format!("exeat {}\n", env!("CARGO_PKG_VERSION")));
}
