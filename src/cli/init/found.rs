//! What was found and where: a host a client goes to, a preset that fits, or a sentence on what was not found or not understood.
//!
//! Of a URL only scheme, host and port are kept: what stands before an `@` or behind the host may be a secret.

use std::num::NonZeroU16;

use crate::policy::destination::{Destination, Port};

/// Who goes to a host. Lock files call for clients by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    /// pip, and others that install Python packages.
    Pip,
    /// npm, and others that install its packages.
    Npm,
    /// cargo.
    Cargo,
    /// go.
    Go,
    /// Maven, and Gradle beside it.
    Maven,
    /// apt.
    Apt,
    /// git.
    Git,
    /// Ruby's.
    Ruby,
    /// PHP's.
    Php,
    /// .NET's.
    Dotnet,
    /// Elixir's.
    Elixir,
    /// Dart's.
    Dart,
}

impl Client {
    /// The name people use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Npm => "npm",
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Maven => "maven",
            Self::Apt => "apt",
            Self::Git => "git",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Dotnet => "dotnet",
            Self::Elixir => "elixir",
            Self::Dart => "dart",
        }
    }

    /// The preset that stands in for it where nothing on this machine says where it goes.
    pub(super) fn preset(self) -> Option<&'static str> {
        match self {
            Self::Go => Some("go"),
            Self::Maven => Some("java"),
            Self::Ruby => Some("ruby"),
            Self::Php => Some("php"),
            Self::Dotnet => Some("dotnet"),
            Self::Elixir => Some("elixir"),
            Self::Dart => Some("dart"),
            Self::Pip | Self::Npm | Self::Cargo | Self::Apt | Self::Git => None,
        }
    }

    /// Whether lock files tell that it is needed; the others are needed wherever they are.
    pub(super) fn has_lock_files(self) -> bool {
        match self {
            Self::Apt | Self::Git => false,
            Self::Pip | Self::Npm | Self::Cargo | Self::Go | Self::Maven => true,
            Self::Ruby | Self::Php | Self::Dotnet | Self::Elixir | Self::Dart => true,
        }
    }
}

/// Whose word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// This machine's configuration.
    Machine,
    /// A file in the working directory, which may have been cloned: it does not list its own hosts.
    Repository,
}

/// Where a URL leads, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `http`, `https` or `ssh`.
    pub(super) scheme: &'static str,
    /// Host and port.
    pub(super) to: Destination,
}

/// A host that a client goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Who goes there.
    pub(super) client: Client,
    /// The program's own name: `uv` is one of [`Client::Pip`].
    pub(super) by: &'static str,
    /// Where.
    pub(super) origin: Origin,
    /// What says so: `pip config, ~/.config/pip/pip.conf`.
    pub(super) place: String,
    /// Whose word it is.
    pub(super) word: Word,
}

/// One thing that looking has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A host.
    Host(Found),
    /// Something that a preset fits.
    Fits {
        /// The preset, without `preset:`.
        preset: &'static str,
        /// What was found: `claude: ~/bin/claude`.
        what: String,
        /// The host that is listed where there is no such preset.
        otherwise: Option<Found>,
    },
    /// A sentence for people.
    Said(String),
}

/// Why a URL gives no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoOrigin {
    /// Neither http nor https.
    Scheme,
    /// No host that can be read in one way only.
    Host,
}

impl Origin {
    /// Reads an http or https URL. `sparse+`, `registry+` and `git+`, which cargo writes before one, are passed over.
    pub(super) fn parse(url: &str) -> Result<Self, NoOrigin> {
        let url = url.trim();
        let url = ["sparse+", "registry+", "git+"].into_iter().find_map(|prefix| url.strip_prefix(prefix)).unwrap_or(url);
        let (scheme, rest) = url.split_once("://").ok_or(NoOrigin::Scheme)?;
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", 80),
            "https" => ("https", 443),
            _ => return Err(NoOrigin::Scheme),
        };
        Self::at(scheme, port, authority(rest))
    }

    /// An origin of an authority: `user:secret@host:port`.
    pub(super) fn at(scheme: &'static str, default: u16, authority: &str) -> Result<Self, NoOrigin> {
        let bare = authority.rsplit_once('@').map_or(authority, |(_secret, bare)| bare);
        let port = NonZeroU16::new(default).map(Port).ok_or(NoOrigin::Host)?;
        let to = Destination::parse_with_default_port(bare, port).map_err(|_| NoOrigin::Host)?;
        Ok(Self { scheme, to })
    }

    /// The scheme's own port is left out.
    pub(super) fn shown(&self) -> String {
        let Destination { host, port } = &self.to;
        match (self.scheme, port.number()) {
            ("http", 80) | ("https", 443) | ("ssh", 22) => format!("{}://{host}", self.scheme),
            (scheme, port) => format!("{scheme}://{host}:{port}"),
        }
    }
}

/// What stands between `//` and the path.
pub(super) fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// A client's source of findings, so that each is said in the same words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Who goes there.
    pub(super) client: Client,
    /// The program's own name.
    pub(super) by: &'static str,
    /// What says so.
    pub(super) place: &'a str,
    /// Whose word it is.
    pub(super) word: Word,
}

impl<'a> Source<'a> {
    /// This machine's word for a client.
    pub(super) fn machine(client: Client, place: &'a str) -> Self {
        Self { client, by: client.name(), place, word: Word::Machine }
    }

    /// The same by another program's name.
    pub(super) fn by(self, by: &'static str) -> Self {
        Self { by, ..self }
    }

    /// The host of a URL, or why it gives none. The URL itself is not said: it may hold a secret.
    pub(super) fn host(self, url: &str) -> Entry {
        match Origin::parse(url) {
            Ok(origin) => self.origin(origin),
            Err(NoOrigin::Scheme) => {
                Entry::Said(format!("{}: something that is no http or https URL is left out, from {}", self.by, self.place))
            }
            Err(NoOrigin::Host) => Entry::Said(format!("{}: a URL whose host cannot be read is left out, from {}", self.by, self.place)),
        }
    }

    /// An origin that was read already.
    pub(super) fn origin(self, origin: Origin) -> Entry {
        Entry::Host(Found { client: self.client, by: self.by, origin, place: self.place.to_owned(), word: self.word })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Result<String, NoOrigin> {
        Origin::parse(url).map(|origin| format!("{} {}", origin.shown(), origin.to))
    }

    #[test]
    fn of_a_url_scheme_host_and_port_are_kept() {
        for (url, expected) in [
            ("https://m.test/simple", Ok("https://m.test m.test:443")),
            (" HTTPS://M.Test ", Ok("https://m.test m.test:443")),
            ("http://m.test", Ok("http://m.test m.test:80")),
            ("http://m.test:443/", Ok("http://m.test:443 m.test:443")),
            ("https://m.test:8443?x", Ok("https://m.test:8443 m.test:8443")),
            ("sparse+https://m.test/index/", Ok("https://m.test m.test:443")),
            ("https://[2001:db8::1]:81/", Ok("https://[2001:db8::1]:81 [2001:db8::1]:81")),
            ("ssh://m.test/", Err(NoOrigin::Scheme)),
            ("/opt/wheels", Err(NoOrigin::Scheme)),
            ("https:///x", Err(NoOrigin::Host)),
            ("https://m.test:0/", Err(NoOrigin::Host)),
            ("https://${HOST}/", Err(NoOrigin::Host)),
            ("https://a.test\\@m.test/", Ok("https://m.test m.test:443")),
        ] {
            assert_eq!(shown(url), expected.map(str::to_owned), "{url}");
        }
    }

    #[test]
    fn no_secret_of_a_url_is_kept() {
        for url in
            ["https://user:s3cret@m.test/", "https://s3cret@m.test", "https://a@s3cret@m.test/", "https://m.test/s3cret?s3cret#s3cret"]
        {
            let entry = Source::machine(Client::Pip, "x").host(url);
            assert!(!format!("{entry:?}").contains("s3cret"), "{entry:?}");
        }
        for url in ["ftp://s3cret@m.test/", "https://s3cret@%/", "s3cret"] {
            let Entry::Said(said) = Source::machine(Client::Pip, "x").host(url) else { panic!("{url} gives a host") };
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
