//! The git remotes of the repository. Its configuration is read as text: git itself would run what it names.
//!
//! A clone does not bring a configuration along, so remotes are the word of this machine's people.

use std::path::{Path, PathBuf};

use super::found::{Client, Entry, Found, Origin, Source, authority};
use super::machine::{Machine, text};

/// Places that have a preset.
const FORGES: &[(&str, &str)] = &[("github.com", "github"), ("gitlab.com", "gitlab"), ("bitbucket.org", "bitbucket")];

/// The remotes of the repository.
pub(super) fn look(machine: &Machine) -> Vec<Entry> {
    let Some(file) = configuration(&machine.repository) else {
        return vec![Entry::Said("git: the working directory is in no repository".to_owned())];
    };
    let Some(text) = text(&file) else {
        return vec![Entry::Said("git: the configuration of the repository cannot be read".to_owned())];
    };
    let found: Vec<Entry> = remotes(&text).iter().map(|(name, url)| entry(name, url)).collect();
    if found.is_empty() { vec![Entry::Said("git: the repository has no remote".to_owned())] } else { found }
}

/// `.git/config`; where `.git` is a file, as in worktrees and submodules, that of the folder it names.
fn configuration(repository: &Path) -> Option<PathBuf> {
    let git = repository.join(".git");
    if git.is_dir() {
        return Some(git.join("config"));
    }
    let folder = repository.join(text(&git)?.strip_prefix("gitdir:")?.trim());
    let shared = text(&folder.join("commondir")).map(|shared| folder.join(shared.trim()));
    Some(shared.unwrap_or(folder).join("config"))
}

/// Name and URL of every remote.
fn remotes(text: &str) -> Vec<(String, String)> {
    let (mut remote, mut found) = (None, Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            remote = section.strip_prefix("remote \"").and_then(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned());
        } else if let (Some(name), Some((key, value))) = (&remote, line.split_once('='))
            && ["url", "pushurl"].contains(&key.trim().to_ascii_lowercase().as_str())
        {
            found.push((name.clone(), value.trim().trim_matches('"').to_owned()));
        }
    }
    found
}

fn entry(name: &str, url: &str) -> Entry {
    let name = crate::text::plain(name, 40);
    let place = format!(".git/config, remote {name}");
    let source = Source::machine(Client::Git, &place);
    let origin = match read(url) {
        Some(Ok(origin)) => origin,
        Some(Err(entry)) => return Entry::Said(format!("git: remote {name} {entry}")),
        None => return source.host(url),
    };
    let forge = FORGES.iter().find(|(host, _)| origin.to.host.to_string() == *host);
    let found = source.origin(origin);
    match (forge, found) {
        (Some((_, preset)), Entry::Host(found)) => {
            let what = format!("git: {} from {}", found.origin.shown(), found.place);
            Entry::Fits { preset, what, otherwise: Some(found) }
        }
        (_, found) => found,
    }
}

/// The origin of a remote's URL, or what is wrong with it; `None` where it is an odd http URL.
fn read(url: &str) -> Option<Result<Origin, &'static str>> {
    if let Ok(origin) = Origin::parse(url) {
        return Some(Ok(origin));
    }
    let local = "is a folder: nothing to list";
    let ssh = |authority: &str| Origin::at("ssh", 22, authority).map_err(|_| "has a host that cannot be read");
    match url.split_once("://") {
        Some(("ssh" | "git+ssh" | "ssh+git", rest)) => Some(ssh(authority(rest))),
        Some(("file", _)) => Some(Err(local)),
        Some(("http" | "https", _)) => None,
        Some(_) => Some(Err("is reached by neither https nor ssh, and left out")),
        // `helper::address` runs a program.
        None if url.split_once("::").is_some_and(|(helper, _)| !helper.is_empty() && !helper.contains(['/', '[', '@'])) => {
            Some(Err("is reached by neither https nor ssh, and left out"))
        }
        None => match url.split_once(':') {
            // As git has it: `host:path`, unless a slash comes first.
            Some((host, _)) if !host.contains('/') && !host.is_empty() => Some(ssh(host)),
            _ => Some(Err(local)),
        },
    }
}

/// Whether the bytes of a connection there are neither TLS nor HTTP.
pub(super) fn opaque(found: &Found) -> bool {
    found.origin.scheme == "ssh"
}

/// Every preset that may be named.
#[cfg(test)]
pub(super) fn presets() -> impl Iterator<Item = &'static str> {
    FORGES.iter().map(|(_, preset)| *preset)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::super::testing::shown;
    use super::*;

    #[test]
    fn every_form_of_a_remote_is_a_host_and_a_port() {
        let place = "from .git/config, remote r";
        for (url, expected) in [
            ("https://user:s3cret@github.com/a/b.git", format!("git: https://github.com {place} fits github, else https://github.com")),
            ("git@gitlab.com:a/b.git", format!("git: ssh://gitlab.com {place} fits gitlab, else ssh://gitlab.com")),
            ("https://Bitbucket.org/a/b", format!("git: https://bitbucket.org {place} fits bitbucket, else https://bitbucket.org")),
            ("https://evilgithub.com/a", "git https://evilgithub.com .git/config, remote r".into()),
            ("ssh://git@git.acme.test:7999/a/b", "git ssh://git.acme.test:7999 .git/config, remote r".into()),
            ("git.acme.test:a/b", "git ssh://git.acme.test .git/config, remote r".into()),
            ("http://git.acme.test:8080/a", "git http://git.acme.test:8080 .git/config, remote r".into()),
            ("git://git.acme.test/a", "git: remote r is reached by neither https nor ssh, and left out".into()),
            ("../other", "git: remote r is a folder: nothing to list".into()),
            ("/srv/a:b", "git: remote r is a folder: nothing to list".into()),
            ("file:///srv/a", "git: remote r is a folder: nothing to list".into()),
            ("https://s3cret@%/", "git: a URL whose host cannot be read is left out, from .git/config, remote r".into()),
            ("s3cret@%:x", "git: remote r has a host that cannot be read".into()),
            ("ext::sh -c s3cret", "git: remote r is reached by neither https nor ssh, and left out".into()),
        ] {
            let said = shown(&[entry("r", url)]);
            assert_eq!(said, [expected], "{url}");
        }
    }

    #[test]
    fn the_configuration_is_read_and_nothing_it_names_is_run() {
        let place = tempfile::tempdir().unwrap();
        let (repository, worktree) = (place.path().join("repository"), place.path().join("worktree"));
        let text = "[core]\n\tfsmonitor = touch /nowhere\n\turl = https://no.test\n[remote \"origin\"]\n\tURL = https://a.test/x\n\tfetch = +refs\n\
                    [branch \"main\"]\n\turl = https://no.test\n[remote \"back\\u001bup\"]\n\tpushurl = \"https://b.test/x\"\n";
        fs::create_dir_all(repository.join(".git/worktrees/w")).unwrap();
        fs::create_dir_all(&worktree).unwrap();
        fs::write(repository.join(".git/config"), text).unwrap();
        fs::write(repository.join(".git/worktrees/w/commondir"), "../..\n").unwrap();
        fs::write(worktree.join(".git"), format!("gitdir: {}\n", repository.join(".git/worktrees/w").display())).unwrap();
        for folder in [&repository, &worktree] {
            let machine = Machine::new([], folder);
            let expected = ["git https://a.test .git/config, remote origin", "git https://b.test .git/config, remote back\\\\u001bup"];
            assert_eq!(shown(&look(&machine)), expected);
        }
        let machine = Machine { repository: place.path().to_owned(), ..Machine::new([], place.path()) };
        assert_eq!(shown(&look(&machine)), ["git: the working directory is in no repository"]);
    }
}
