//! Who rents names: public suffixes, the shared hosting the public suffix list does not know, and servers that many customers share.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use psl::Psl;

use super::host::Name;

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared::read(include_str!("../../allowlists/shared-hosts.txt")));

static EDGES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| lines(include_str!("../../allowlists/shared-edges.txt")).filter(|name| !name.is_empty()).collect());

/// The part of a name that somebody registered: the public suffix and one label. `None` for a public suffix itself.
pub fn registrable(name: &Name) -> Option<&str> {
    registrable_part(name.as_str())
}

pub(super) fn registrable_part(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Whether somebody else may rent names right under this one, by the public suffix list.
pub(super) fn is_public_suffix(name: &str) -> bool {
    psl::suffix_str(name) == Some(name)
}

/// Whether the public suffix list knows the name's suffix, rather than taking the last label of a zone it does not hold for one.
pub(super) fn is_of_a_public_zone(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Whether the public suffix list has a rule below the name. The list is a tree walked label by label from the right: it asks for one more label than the
/// name has only where its tree goes on.
pub(super) fn has_public_suffix_below(name: &str) -> bool {
    let mut labels = name.rsplit('.').map(str::as_bytes);
    let mut goes_on = false;
    let asked = std::iter::from_fn(|| {
        let label = labels.next();
        goes_on |= label.is_none();
        label
    });
    psl::List.find(asked);
    goes_on
}

/// Whether `shared-hosts.txt` lists the name, or a name below it.
pub(super) fn is_shared(name: &str) -> bool {
    SHARED.listed.contains_key(name) || SHARED.above.contains(name)
}

/// The place of `shared-hosts.txt` that the name is, or lies in.
pub fn shared_zone(name: &Name) -> Option<&str> {
    std::iter::successors(Some(name.as_str()), |zone| zone.split_once('.').map(|(_, rest)| rest))
        .find(|zone| SHARED.listed.contains_key(zone))
}

/// The suffix under which the name lies, where it is one that its owner rents out: the private section of the public suffix list.
pub fn private_suffix(name: &Name) -> Option<&str> {
    let suffix = psl::suffix(name.as_str().as_bytes())?;
    if suffix.typ() == Some(psl::Type::Private) { psl::suffix_str(name.as_str()) } else { None }
}

/// As `shared_zone`, with the words of the list for its kind.
pub fn shared_words(name: &Name) -> Option<(&str, &'static str)> {
    let zone = shared_zone(name)?;
    SHARED.listed.get(zone).map(|words| (zone, *words))
}

/// The place of `shared-edges.txt` that the name lies below.
pub(super) fn shared_edge(name: &str) -> Option<&'static str> {
    std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.')).find_map(|(_, zone)| EDGES.get(zone).copied())
}

struct Shared {
    /// Each name and what its kind is called.
    listed: HashMap<&'static str, &'static str>,
    above: HashSet<&'static str>,
}

impl Shared {
    fn read(text: &'static str) -> Self {
        let (mut listed, mut words) = (HashMap::new(), "");
        for line in text.lines() {
            let name = line.split('#').next().unwrap_or(line).trim();
            match line.strip_prefix('#') {
                Some(heading) => words = heading.trim(),
                None if name.is_empty() => {}
                None => {
                    listed.insert(name, words);
                }
            }
        }
        let above = listed.keys().flat_map(|name| above(name)).collect();
        Self { listed, above }
    }
}

/// Each line without what is said of it.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(|line| line.split('#').next().unwrap_or(line).trim())
}

fn above(name: &'static str) -> impl Iterator<Item = &'static str> {
    std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.')).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::super::host::Host;
    use super::*;

    #[test]
    fn every_line_of_shared_hosts_is_a_canonical_name_listed_once() {
        let text = include_str!("../../allowlists/shared-hosts.txt");
        let mut seen = HashSet::new();
        for line in text.lines() {
            let name = line.split('#').next().unwrap_or(line).trim();
            if name.is_empty() {
                continue;
            }
            assert_eq!(Host::parse(name).map(|host| host.to_string()), Ok(name.to_owned()), "{line}");
            assert!(name.contains('.'), "{line}");
            assert!(seen.insert(name), "{line} is listed twice");
        }
        assert!(seen.len() >= 80, "{}", seen.len());
    }

    #[test]
    fn every_line_of_shared_edges_is_a_name_of_shared_hosts_with_a_source() {
        for line in include_str!("../../allowlists/shared-edges.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let Some((name, source)) = line.split_once(" # https://") else { panic!("{line} names no source") };
            assert!(is_shared(name) && source.contains('.'), "{line}");
            assert_eq!(shared_edge(&format!("acme.{name}")), Some(name));
            assert_eq!(shared_edge(&format!("cdn.acme.{name}")), Some(name));
        }
        for name in ["cloudfront.net", "net", "notcloudfront.net", "cloudfront.net.example.com"] {
            assert_eq!(shared_edge(name), None, "{name}");
        }
    }

    #[test]
    fn shared_hosting_is_known_from_above_but_not_from_a_place_already_rented() {
        for name in ["ngrok.io", "googleapis.com", "storage.googleapis.com", "workers.dev", "sentry.io", "translate.goog", "r.jina.ai"] {
            assert!(is_shared(name), "{name}");
        }
        for name in ["acme.ngrok.io", "bucket.storage.googleapis.com", "example.com", "api.openai.com", "openai.com"] {
            assert!(!is_shared(name), "{name}");
        }
    }

    #[test]
    fn who_rents_out_the_place_of_a_name_is_known() {
        let of = |name: &str, zone: fn(&Name) -> Option<&str>| match Host::parse(name) {
            Ok(Host::Name(name)) => zone(&name).map(str::to_owned),
            Ok(Host::Address(_)) | Err(_) => None,
        };
        let rows = [
            ("acme.ngrok.io", Some("ngrok.io"), Some("ngrok.io")),
            ("bucket.storage.googleapis.com", Some("storage.googleapis.com"), Some("googleapis.com")),
            ("acme.js.org", None, Some("js.org")),
            ("api.example.com", None, None),
            ("notngrok.io", None, None),
        ];
        for (name, shared, private) in rows {
            assert_eq!(of(name, shared_zone).as_deref(), shared, "{name}");
            assert_eq!(of(name, private_suffix).as_deref(), private, "{name}");
        }
    }

    #[test]
    fn public_suffixes_count_with_their_private_section() {
        for name in ["com", "co.uk", "github.io", "s3.amazonaws.com", "foo.ck", "test", "githubusercontent.com", "vercel.app"] {
            assert!(is_public_suffix(name), "{name}");
        }
        for name in ["example.com", "www.ck", "amazonaws.com", "wild.test", "acme.github.io"] {
            assert!(!is_public_suffix(name), "{name}");
        }
    }

    #[test]
    fn a_public_suffix_below_is_seen() {
        for name in ["amazonaws.com", "com", "compute.amazonaws.com", "windows.net", "core.windows.net", "ck"] {
            assert!(has_public_suffix_below(name), "{name}");
        }
        for name in [
            "example.com",
            "s3.amazonaws.com",
            "a.s3.amazonaws.com",
            "foo.amazonaws.com",
            "foo.ck",
            "wild.test",
            "api.openai.com",
            "google",
        ] {
            assert!(!has_public_suffix_below(name), "{name}");
        }
    }

    #[test]
    fn the_registrable_part_is_the_suffix_and_one_label() {
        let part = |name: &str| match Host::parse(name) {
            Ok(Host::Name(name)) => registrable(&name).map(str::to_owned),
            Ok(Host::Address(_)) | Err(_) => None,
        };
        assert_eq!(part("a.b.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(part("a.acme.github.io").as_deref(), Some("acme.github.io"));
        assert_eq!(part("co.uk"), None);
    }
}
