//! The suffix rule against the whole public suffix list: no allow pattern that loads without `shared_ok` covers two registrable domains.
//!
//! The list is the one that the `psl` crate of the lock file was made from: the crate carries it, and cargo says where the crate is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use exeat::policy::host::Host;
use exeat::policy::pattern::{HostPattern, Use};
use exeat::policy::suffix;

/// Every shape of pattern, over a name that stands for `S`.
const SHAPES: [&str; 20] = [
    "S",
    "*.S",
    "**.S",
    "a*.S",
    "*a.S",
    "*aS",
    "?.S",
    "[ab].S",
    "{a,b}.S",
    "{a,b}*.S",
    "*.*.S",
    "**.a*.S",
    "x.*.S",
    "*.x.S",
    "**.x.S",
    "a*.x.S",
    "{a,b}.x.S",
    "*.*.x.S",
    "x.*.x.S",
    "*.y.x.S",
];

/// Labels in front of `S` that some of the shapes match.
const FRONTS: [&str; 14] = ["", "a.", "b.", "aa.", "ba.", "x.", "a.x.", "b.x.", "x.a.x.", "x.b.x.", "a.y.x.", "x.a.", "x.b.", "q.w.e.r."];

/// What a rule of the list says.
enum Rule {
    Suffix(String),
    Every(String),
    Not(String),
}

impl Rule {
    /// A rule in A-labels.
    fn read(line: &str) -> Self {
        let name = |text: &str| Host::parse(text).unwrap().to_string();
        match (line.strip_prefix("*."), line.strip_prefix('!')) {
            (Some(rest), _) => Self::Every(name(rest)),
            (None, Some(rest)) => Self::Not(name(rest)),
            (None, None) => Self::Suffix(name(line)),
        }
    }

    /// A name the rule makes, or unmakes, a suffix.
    fn example(&self) -> String {
        match self {
            Self::Suffix(name) | Self::Not(name) => name.clone(),
            Self::Every(parent) => format!("every.{parent}"),
        }
    }
}

fn list() -> Vec<Rule> {
    let said = |command: &mut Command| {
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = said(Command::new("rustc").arg("-vV"));
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let flags = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", platform];
    let metadata: serde_json::Value = serde_json::from_str(&said(Command::new(env!("CARGO")).args(flags))).unwrap();
    let psl = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "psl").unwrap();
    let rules = Path::new(psl["manifest_path"].as_str().unwrap()).with_file_name("data").join("rules.txt");
    let text = std::fs::read_to_string(&rules).unwrap();
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).map(Rule::read).collect()
}

/// The part somebody registered; `None` where nobody did.
fn registrable(host: &Host) -> Option<&str> {
    match host {
        Host::Name(name) => suffix::registrable(name),
        Host::Address(_) => None,
    }
}

/// A name and every name above it.
fn with_all_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}

/// The patterns over a name: each shape, and each label of the name as wildcards in front of, within and behind it.
fn patterns(base: &str) -> BTreeSet<String> {
    let labels: Vec<&str> = base.split('.').collect();
    let holed = (0..labels.len()).flat_map(|at| {
        let label = labels[at];
        ["*".to_owned(), format!("{label}*"), format!("*{label}"), format!("{{{label},a}}")].map(|wild| {
            let mut holed = labels.clone();
            holed[at] = &wild;
            holed.join(".")
        })
    });
    let holed: Vec<String> = holed.flat_map(|holed| [format!("x.{holed}"), format!("*.{holed}"), holed]).collect();
    SHAPES.iter().map(|shape| shape.replace('S', base)).chain(holed).collect()
}

#[test]
fn no_allow_pattern_that_loads_covers_two_registrable_domains() {
    let rules = list();
    assert!(rules.len() > 9_000, "{} rules", rules.len());
    let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let examples: BTreeSet<String> = rules.iter().map(Rule::example).collect();
    for example in &examples {
        with_all_above(example).skip(1).for_each(|above| below.entry(above).or_default().push(example));
    }
    let (mut asked, mut loaded, mut several) = (0, 0, 0);
    for base in examples.iter().flat_map(|example| with_all_above(example)).collect::<BTreeSet<_>>() {
        let hosts = FRONTS.iter().map(|front| format!("{front}{base}"));
        let deeper = below.get(base).into_iter().flatten().flat_map(|below| FRONTS.map(|front| format!("{front}{below}")));
        let hosts: std::cell::LazyCell<Vec<Host>, _> =
            std::cell::LazyCell::new(move || hosts.chain(deeper).map(|host| Host::parse(&host).unwrap()).collect());
        for text in patterns(base) {
            asked += 1;
            let Ok(parsed) = HostPattern::parse(&text, Use::Grant, false) else { continue };
            if !parsed.pattern.is_wildcard() {
                continue;
            }
            loaded += 1;
            let matched: Vec<&Host> = hosts.iter().filter(|host| parsed.pattern.matches(host)).collect();
            let covered: BTreeSet<Option<&str>> = matched.iter().map(|host| registrable(host)).collect();
            several += usize::from(matched.len() > 1);
            assert!(covered.len() <= 1 && !covered.contains(&None), "{text} covers {covered:?}");
        }
    }
    assert!(
        asked > 500_000 && loaded > 50_000 && several > 50_000,
        "{asked} patterns, {loaded} load, {several} of them match several hosts"
    );
}

#[test]
fn the_list_is_the_one_that_is_built_in() {
    for rule in list() {
        let example = rule.example();
        let part = |name: &str| registrable(&Host::parse(name).unwrap()).map(str::to_owned);
        match rule {
            Rule::Suffix(_) | Rule::Every(_) => assert_eq!(part(&example), None, "{example}"),
            Rule::Not(name) => assert_eq!(part(&name), Some(name.clone()), "{name}"),
        }
    }
}
