use proptest::prelude::*;

use super::*;

fn read(text: &str, wanted: Use) -> Result<String, PatternFault> {
    HostPattern::parse(text, wanted, false).map(|parsed| parsed.pattern.to_string())
}

fn block(text: &str) -> HostPattern {
    HostPattern::parse(text, Use::Block, false).unwrap().pattern
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

#[test]
fn a_pattern_matches_the_hosts_it_stands_for() {
    let rows = [
        ("example.com", "example.com a.example.com:no notexample.com:no com:no"),
        ("*.example.com", "a.example.com a.b.example.com example.com:no aexample.com:no example.com.evil.test:no"),
        ("**.example.com", "example.com a.example.com a.b.example.com notexample.com:no"),
        ("*.wild.test", "api.wild.test evilwild.test:no wild.test.evil.test:no wild.test:no"),
        ("api-*.example.com", "api-1.example.com api-.example.com api.example.com:no a.api-1.example.com:no api-1.b.example.com:no"),
        ("api*.example.com", "api.example.com api7.example.com xapi.example.com:no"),
        ("*-eu.example.com", "a-eu.example.com -.example.com:bad a-us.example.com:no"),
        ("a*b*c.example.com", "abc.example.com axbxbxc.example.com axbx.example.com:no"),
        ("a?c.example.com", "abc.example.com ac.example.com:no abbc.example.com:no"),
        ("n[0-9a-f].example.com", "n0.example.com nf.example.com ng.example.com:no n.example.com:no n00.example.com:no"),
        ("n[-x].example.com", "n-.example.com nx.example.com n_.example.com:no"),
        ("{eu,us}.example.com", "eu.example.com us.example.com eus.example.com:no example.com:no"),
        ("{eu,us}-{1,2}[ab].example.com", "eu-1a.example.com us-2b.example.com us-3a.example.com:no"),
        ("{a*,?}.example.com", "abc.example.com x.example.com xy.example.com:no"),
        ("api.*.example.com", "api.x.example.com api.x.y.example.com:no api.example.com:no"),
        ("*.api.*.example.com", "a.api.x.example.com a.b.api.x.example.com api.x.example.com:no"),
        ("**.api-?.example.com", "api-1.example.com a.b.api-1.example.com api-12.example.com:no"),
        ("*.com", "a.com a.b.com com:no"),
        ("**.com", "a.com com"),
        ("evil*.*", "evil.test evil2.com a.evil.com:no evil:no"),
        ("*example.com", "example.com notexample.com a.example.com:no"),
        ("8.8.8.8", "8.8.8.8 8.8.4.4:no [::ffff:8.8.8.8]"),
        ("[::1]", "[::1] [0:0::1] 127.0.0.1:no"),
        ("[::ffff:10.0.0.1]", "10.0.0.1 [::ffff:a00:1]"),
        ("10.20.0.0/16", "10.20.0.0 10.20.255.255 [::ffff:10.20.0.1] 10.19.255.255:no 10.21.0.0:no example.com:no [64:ff9b::10.20.0.1]:no"),
        ("::ffff:10.20.0.0/112", "10.20.0.0 10.20.255.255 10.21.0.0:no"),
        ("[2001:db8::]/32", "[2001:db8::1] [2001:db8:ffff::] [2001:db9::]:no 32.1.13.184:no"),
        ("10.0.0.7/32", "10.0.0.7 10.0.0.6:no"),
        ("2001:db8::7/128", "[2001:db8::7] [2001:db8::6]:no"),
        ("0.0.0.0/0", "0.0.0.0 255.255.255.255 [::ffff:8.8.8.8] [::1]:no [64:ff9b::808:808]:no example.com:no"),
        ("::/0", "[::1] [64:ff9b::808:808] 8.8.8.8:no [::ffff:8.8.8.8]:no example.com:no"),
        ("b\u{fc}cher.test", "xn--bcher-kva.test bucher.test:no"),
        ("*.B\u{dc}CHER.test", "a.xn--bcher-kva.test"),
        ("Example.COM.", "example.com"),
        ("*.Example.COM.", "a.example.com"),
        ("API-[A-C].Example.com", "api-a.example.com api-d.example.com:no"),
    ];
    for (pattern, hosts) in rows {
        let pattern = block(pattern);
        for word in hosts.split(' ').filter(|word| !word.ends_with(":bad")) {
            let (text, wanted) = word.strip_suffix(":no").map_or((word, true), |text| (text, false));
            assert_eq!(pattern.matches(&host(text)), wanted, "{pattern} and {text}");
        }
    }
}

#[test]
fn a_wildcard_never_matches_an_address() {
    for pattern in ["*.com", "{a,b}*", "a?.*", "*.*.[a-z]"] {
        for address in ["8.8.8.8", "[::1]", "10.0.0.1"] {
            assert!(!block(pattern).matches(&host(address)), "{pattern} and {address}");
        }
    }
}

#[test]
fn a_pattern_has_one_canonical_text() {
    let rows = [
        ("Example.COM.", "example.com"),
        ("*.EXAMPLE.com.", "*.example.com"),
        ("**.b\u{fc}cher.test", "**.xn--bcher-kva.test"),
        ("API-[A-C].{EU,us}.Example.com", "api-[a-c].{eu,us}.example.com"),
        ("*.B\u{dc}CHER.x*.example.com", "*.xn--bcher-kva.x*.example.com"),
        ("[::FFFF:10.0.0.1]", "10.0.0.1"),
        ("10.0.0.7/32", "10.0.0.7"),
        ("2001:DB8:0::7/128", "[2001:db8::7]"),
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("[2001:DB8:0:0::]/32", "2001:db8::/32"),
        ("[::ffff:a14:0]/112", "10.20.0.0/16"),
    ];
    for (given, wanted) in rows {
        assert_eq!(read(given, Use::Grant).as_deref(), Ok(wanted), "{given}");
        assert_eq!(read(wanted, Use::Grant).as_deref(), Ok(wanted), "{wanted}");
    }
    assert_eq!(block("Example.COM."), block("example.com"));
}

#[test]
fn what_stands_for_everything_or_nothing_never_loads() {
    let rows = [
        ("*", PatternFault::Everything),
        ("**", PatternFault::Everything),
        ("*.", PatternFault::Everything),
        ("*.*", PatternFault::Everything),
        ("?*", PatternFault::Everything),
        ("{a,*}", PatternFault::Everything),
        ("[*]", PatternFault::Set),
        ("", PatternFault::Malformed(Malformed::EmptyHost)),
        (".", PatternFault::Malformed(Malformed::EmptyLabel)),
        ("*..com", PatternFault::Malformed(Malformed::EmptyLabel)),
        ("a*..example.com", PatternFault::Malformed(Malformed::EmptyLabel)),
        (".*.example.com", PatternFault::Malformed(Malformed::EmptyLabel)),
        ("**example.com", PatternFault::DoubleStar),
        ("a.**.example.com", PatternFault::DoubleStar),
        ("a**.example.com", PatternFault::DoubleStar),
        ("[!x].example.com", PatternFault::Set),
        ("a[^x]b.example.com", PatternFault::Set),
        ("a[+-9]b.example.com", PatternFault::Set),
        ("a[0-z].example.com", PatternFault::Set),
        ("a[z-a].example.com", PatternFault::Set),
        ("a[].example.com", PatternFault::Set),
        ("a[b.example.com", PatternFault::Set),
        ("ab].example.com", PatternFault::Set),
        ("a[b.c]d.example.com", PatternFault::Set),
        ("{a,b.c}.example.com", PatternFault::Braces),
        ("{a,{b,c}}.example.com", PatternFault::Braces),
        ("{a,}.example.com", PatternFault::Braces),
        ("{}.example.com", PatternFault::Braces),
        ("a}.example.com", PatternFault::Braces),
        ("a,b.example.com", PatternFault::Braces),
        ("{0,1,2}{0,1,2}{0,1,2}{0,1,2}.example.com", PatternFault::TooMany),
        ("b\u{fc}*.example.com", PatternFault::Character),
        ("a *.example.com", PatternFault::Character),
        ("!a*.example.com", PatternFault::Character),
        ("*.exa mple.com", PatternFault::Malformed(Malformed::Space)),
        ("*.xn--a.com", PatternFault::Malformed(Malformed::ALabel)),
        ("*.-example.com", PatternFault::Malformed(Malformed::LeadingHyphen)),
        ("https://example.com", PatternFault::MoreThanHost),
        ("example.com/path", PatternFault::MoreThanHost),
        ("*.example.com/**", PatternFault::MoreThanHost),
        ("example.com:443", PatternFault::MoreThanHost),
        ("*.example.com:443", PatternFault::MoreThanHost),
        ("[::1]:443", PatternFault::MoreThanHost),
        ("u@*.example.com", PatternFault::MoreThanHost),
        ("::1", PatternFault::Malformed(Malformed::BareIpv6)),
        ("127.1", PatternFault::Malformed(Malformed::NumericName)),
        ("[fe80::1%eth0]", PatternFault::Malformed(Malformed::Zone)),
        ("10.0.0.*", PatternFault::AddressWildcard),
        ("169.254.*.*", PatternFault::AddressWildcard),
        ("10.0.0.[0-9]", PatternFault::AddressWildcard),
        ("*.0.0.1", PatternFault::AddressWildcard),
        ("*.10.0.0.1", PatternFault::AddressWildcard),
        ("192.168.?.1", PatternFault::AddressWildcard),
    ];
    for (given, wanted) in rows {
        for wanted_for in [Use::Grant, Use::Block] {
            assert_eq!(read(given, wanted_for), Err(wanted.clone()), "{given} as {wanted_for:?}");
        }
    }
    assert_eq!(read(&"a".repeat(1025), Use::Block), Err(PatternFault::TooLong));
}

#[test]
fn a_grant_spells_out_its_registrable_domain() {
    let registrable = |spelled: &str| PatternFault::Registrable { spelled: spelled.into() };
    let suffix = |base: &str| PatternFault::PublicSuffix { base: base.into() };
    let rows = [
        ("*.com", suffix("com")),
        ("**.com", suffix("com")),
        ("*.co.uk", suffix("co.uk")),
        ("*.github.io", suffix("github.io")),
        ("*.s3.amazonaws.com", suffix("s3.amazonaws.com")),
        ("*.test", suffix("test")),
        ("*.localhost", suffix("localhost")),
        ("*.foo.ck", suffix("foo.ck")),
        ("*example.com", registrable("com")),
        ("exam?le.com", registrable("com")),
        ("api.{example,sample}.com", registrable("com")),
        ("{acme,other}.github.io", registrable("github.io")),
        ("a.*.co.uk", registrable("co.uk")),
        ("api.example.*", registrable("")),
        ("api.example.{com,org}", registrable("")),
        ("a*", registrable("")),
    ];
    for (given, wanted) in rows {
        for shared_ok in [false, true] {
            assert_eq!(HostPattern::parse(given, Use::Grant, shared_ok), Err(wanted.clone()), "{given}");
        }
        assert!(read(given, Use::Block).is_ok(), "a block may be as broad as {given}");
    }
    for given in [
        "*.example.com",
        "**.example.co.uk",
        "a-*.example.com",
        "*.acme.github.io",
        "*.wild.test",
        "*.svc.cluster.local",
        "*.www.ck",
        "com",
        "localhost",
    ] {
        assert_eq!(read(given, Use::Grant).as_deref(), Ok(given));
    }
}

#[test]
fn wildcards_over_shared_hosting_are_faults_unless_the_rule_accepts_them() {
    let below =
        [("221", "*.amazonaws.com"), ("221", "*.compute.amazonaws.com"), ("222", "**.windows.net"), ("222", "x-*.core.windows.net")];
    let listed = [
        ("227", "*.google.com"),
        ("221", "*.storage.googleapis.com"),
        ("227", "*.r.jina.ai"),
        ("227", "*.archive.org"),
        ("sink", "**.sentry.io"),
    ];
    let rows = below.map(|row| (row, SharedBy::SuffixBelow)).into_iter().chain(listed.map(|row| (row, SharedBy::Listed)));
    for ((row, given), known) in rows {
        let fault = HostPattern::parse(given, Use::Grant, false).unwrap_err();
        let PatternFault::Shared(shared) = fault else { panic!("{row}: {given}: {fault}") };
        assert!(shared.known == known || shared.known == SharedBy::Listed, "{row}: {given}: {shared:?}");
        let parsed = HostPattern::parse(given, Use::Grant, true).unwrap();
        assert_eq!(parsed.warning, Some(shared), "{row}: {given}");
        assert_eq!(HostPattern::parse(given, Use::Block, false).unwrap().warning, None, "{row}: {given}");
    }
}

#[test]
fn wildcards_over_well_known_shared_hosting_never_load_unnoticed() {
    let names = "amazonaws.com s3.amazonaws.com github.io githubusercontent.com vercel.app netlify.app cloudfront.net blob.core.windows.net workers.dev web.app \
                 ngrok.io ngrok-free.app trycloudflare.com translate.goog web.archive.org r.jina.ai pages.dev herokuapp.com run.app appspot.com fly.dev \
                 onrender.com supabase.co webhook.site oast.fun nip.io sslip.io duckdns.org r2.dev storage.googleapis.com azurewebsites.net";
    for name in names.split_whitespace() {
        for front in ["*.", "**.", "a*."] {
            let given = format!("{front}{name}");
            assert!(HostPattern::parse(&given, Use::Grant, false).is_err(), "221, 222, 227: {given}");
        }
    }
}

#[test]
fn an_exact_pattern_says_its_host() {
    assert_eq!(block("Example.com").exact(), Some(&host("example.com")));
    assert!(!block("8.8.8.8").is_wildcard());
    assert!(block("*.example.com").is_wildcard() && block("{a,b}.example.com").is_wildcard());
    assert_eq!(block("{a}.example.com").exact(), None);
}

#[test]
fn a_fault_says_what_was_found_what_was_wanted_and_the_fix() {
    let fault = HostPattern::parse("*.github.io", Use::Grant, true).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "a wildcard over `github.io`, a public suffix: anyone can register a name there: wanted a wildcard under a domain somebody registered; \
         list the hosts, or put a wildcard under your own domain"
    );
    let bits = HostPattern::parse("[2001:db8::7]/32", Use::Block, false).unwrap_err();
    assert_eq!(
        bits.to_string(),
        "a network with bits set behind its prefix: wanted a network's first address; write `2001:db8::/32`, or `[2001:db8::7]` for that address alone"
    );
}

#[test]
fn a_network_is_an_address_and_a_length_without_bits_behind_it() {
    let bits = |written: &str| PatternFault::HostBits { written: written.parse().unwrap() };
    let rows = [
        ("10.20.0.1/16", bits("10.20.0.1/16")),
        ("[2001:db8::1]/32", bits("2001:db8::1/32")),
        ("::ffff:10.20.0.1/112", bits("10.20.0.1/16")),
        ("[::ffff:10.20.0.1]/112", bits("10.20.0.1/16")),
        ("::ffff:0:0/95", bits("::ffff:0:0/95")),
        ("10.20.0.0/33", PatternFault::Network),
        ("10.20.0.0/08", PatternFault::Network),
        ("10.20.0.0/8/8", PatternFault::Network),
        ("10.20.0.0/255.255.0.0", PatternFault::Network),
        ("10.20/16", PatternFault::Network),
        ("010.20.0.0/16", PatternFault::Network),
        ("2001:db8::/129", PatternFault::Network),
        ("2001:db8/32", PatternFault::Network),
        ("[2001:db8]/32", PatternFault::Malformed(Malformed::Ipv6)),
        ("[10.20.0.0]/16", PatternFault::Malformed(Malformed::Ipv6)),
        ("[fe80::%eth0]/64", PatternFault::Malformed(Malformed::Zone)),
        ("[2001:db8::/32]", PatternFault::Network),
        ("10.20.0.0/", PatternFault::MoreThanHost),
        ("10.20.0.0/+8", PatternFault::MoreThanHost),
        ("10.20.0.0/x", PatternFault::MoreThanHost),
        ("example.com/24", PatternFault::MoreThanHost),
        ("10.20.*.0/24", PatternFault::MoreThanHost),
        ("/24", PatternFault::MoreThanHost),
    ];
    for (given, wanted) in rows {
        for wanted_for in [Use::Grant, Use::Block] {
            assert_eq!(read(given, wanted_for), Err(wanted.clone()), "{given} as {wanted_for:?}");
        }
    }
}

#[test]
fn a_grant_names_no_network_wider_than_anybody_holds() {
    for given in ["0.0.0.0/0", "10.0.0.0/7", "128.0.0.0/1", "::/0", "fd00::/8", "2001:db8::/31"] {
        assert_eq!(read(given, Use::Grant), Err(PatternFault::WideNetwork), "{given}");
        assert_eq!(read(given, Use::Block).as_deref(), Ok(given), "a block may be as broad as {given}");
    }
    for given in ["10.0.0.0/8", "10.20.0.0/16", "8.8.8.8", "2001:db8::/32", "fd12:3456:789a::/48"] {
        assert_eq!(read(given, Use::Grant).as_deref(), Ok(given));
    }
}

#[test]
fn a_network_is_a_wildcard_unless_it_is_one_address() {
    let said =
        |text: &str| (block(text).network().map(|network| network.to_string()), block(text).exact().cloned(), block(text).is_wildcard());
    assert_eq!(said("[2001:db8::]/32"), (Some("2001:db8::/32".to_owned()), None, true));
    assert_eq!(said("10.0.0.7/32"), (None, Some(host("10.0.0.7")), false));
    assert_eq!(block("10.0.0.7/32"), block("10.0.0.7"));
    assert_eq!(said("example.com"), (None, Some(host("example.com")), false));
    assert_eq!(said("*.example.com"), (None, None, true));
}

#[test]
fn more_labels_and_longer_prefixes_say_more() {
    let rows = [("*.example.com", 3), ("**.a.example.com", 4), ("10.0.0.0/8", 8), ("10.20.0.0/16", 16), ("2001:db8::/32", 32)];
    for (given, wanted) in rows {
        assert_eq!(block(given).spelled(), wanted, "{given}");
    }
}

/// The pattern as globset reads it: a dot is the separator, a leading `*` stands for one label or more.
fn oracle(pattern: &str) -> globset::GlobMatcher {
    let any_depth = pattern.strip_prefix("*.").filter(|_| !pattern.starts_with("**")).map(|rest| format!("**.*.{rest}"));
    let path = any_depth.unwrap_or_else(|| pattern.to_owned()).replace('.', "/");
    globset::GlobBuilder::new(&path).literal_separator(true).build().unwrap().compile_matcher()
}

proptest! {
    #[test]
    fn patterns_match_as_globset_does(
        pattern in "(\\*\\.|\\*\\*\\.)?((([ab?]|\\[ab\\]|\\[a-c\\]|\\{a,bc\\}|\\{b\\*,\\?c\\})\\*?){1,3}\\.){0,3}(ab|abc|a\\*b|c)\\.(com|c\\?m|\\{com,b\\})",
        hosts in prop::collection::vec("([abc]{1,4}\\.){0,5}(ab|abc|c|acb)\\.(com|b|cam)", 1..12),
    ) {
        let ours = block(&pattern);
        let theirs = oracle(&pattern);
        for text in hosts {
            prop_assert_eq!(ours.matches(&host(&text)), theirs.is_match(text.replace('.', "/")), "{} and {}", pattern, text);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,30}|[a-c.*?\\[\\]{},\\-]{0,30}") {
        if let Ok(parsed) = HostPattern::parse(&text, Use::Block, false) {
            let canonical = parsed.pattern.to_string();
            prop_assert_eq!(HostPattern::parse(&canonical, Use::Block, false).map(|again| again.pattern), Ok(parsed.pattern));
        }
    }
}
