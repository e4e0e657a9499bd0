use proptest::prelude::*;

use super::*;

const RULES: &str = r#"
[[rules]]
id = "pat"
regex = '''\bghp_[0-9a-zA-Z]{36}\b'''
keywords = ["ghp_"]
[[rules]]
id = "hex"
regex = '''\b[0-9a-f]{32}\b'''
[[rules]]
id = "line"
regex = '''(?i)password:\s*(\S{8,})(?:\s|$)'''
entropy = 2.0
keywords = ["password"]
"#;

fn scanner(rules: &str, secrets: &[&str]) -> Arc<Scanner> {
    let secrets: Vec<Arc<Secret>> = secrets.iter().map(|secret| Arc::new(Secret::read(secret.as_bytes().to_vec()).unwrap())).collect();
    let rules = (!rules.is_empty()).then(|| Arc::new(LeakRules::read("l.toml", rules).unwrap()));
    Arc::new(Scanner::new(rules, &secrets).unwrap())
}

fn pat() -> String {
    format!("ghp_{}", "aB3".repeat(12))
}

/// What passed of a body cut at these places, and what was found.
fn cut(scanner: &Arc<Scanner>, text: &[u8], cuts: &[usize]) -> (Vec<u8>, Finds) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(text.len())).chain([0, text.len()]).collect();
    cuts.sort_unstable();
    let (mut scan, mut passed) = (Scan::new(Arc::clone(scanner)), Vec::new());
    for ends in cuts.windows(2) {
        match scan.pass(Bytes::copy_from_slice(&text[ends[0]..ends[1]])) {
            Ok(piece) => passed.extend_from_slice(&piece),
            Err(finds) => return (passed, finds),
        }
    }
    match scan.end() {
        Ok(rest) => {
            passed.extend_from_slice(&rest);
            (passed, Finds::new())
        }
        Err(finds) => (passed, finds),
    }
}

#[test]
fn rules_and_values_are_found_by_name() {
    let scanner = scanner(RULES, &["correct-horse-battery", "0123456789"]);
    let hex = "0123456789abcdef".repeat(2);
    for (text, wanted) in [
        (format!("x {} y", pat()), vec!["pat"]),
        (format!("x{}", pat()), vec![]),
        (format!("{}0", pat()), vec![]),
        (format!("a {} {hex}", pat()), vec!["pat", "hex", "secret-2"]),
        (format!("{hex}{hex}"), vec!["secret-2"]),
        ("Password: hunter2hunter2".into(), vec!["line"]),
        ("password: aaaaaaaaaaaa".into(), vec![]),
        ("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5".into(), vec!["secret-1"]),
        ("636f72726563742d686f7273652d62617474657279".into(), vec!["secret-1"]),
        ("correct-horse-batterie".into(), vec![]),
        (String::new(), vec![]),
    ] {
        let found: Vec<String> = scanner.look(text.as_bytes()).iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{text}");
    }
}

#[test]
fn a_url_is_looked_at_as_it_is_meant_too() {
    let scanner = scanner("", &["correct horse"]);
    for text in ["/a?b=correct+horse", "/%63orrect%20horse", "/a?b=%63%6f%72rect+hors%65"] {
        assert_eq!(scanner.look_at_url(text), [Arc::from("secret-1")], "{text}");
    }
    assert_eq!(scanner.look_at_url("/a?b=correct_horse&c=%6"), Finds::new());
}

#[test]
fn a_stream_without_the_beginning_of_a_find_is_not_delayed() {
    let mut scan = Scan::new(scanner(RULES, &["correct-horse-battery"]));
    for piece in ["{\"a\":1}\n", "data: x\n\n", "\0\0\0\0\x05hello", "x correct-hors", "y", " 0123"] {
        let piece = Bytes::from_static(piece.as_bytes());
        let passed = scan.pass(piece.clone()).unwrap();
        assert!(passed == piece || piece.ends_with(b"hors") || piece == "y", "{piece:?} {passed:?}");
    }
    assert_eq!(scan.held(), 0);
}

#[test]
fn what_may_begin_a_find_waits_and_passes_when_it_is_none() {
    let mut scan = Scan::new(scanner(RULES, &["correct-horse-battery"]));
    let passes = |scan: &mut Scan, piece: &'static str| {
        String::from_utf8(scan.pass(Bytes::from_static(piece.as_bytes())).unwrap().to_vec()).unwrap()
    };
    assert_eq!(passes(&mut scan, "a correct-"), "a ");
    assert_eq!(passes(&mut scan, "x"), "correct-x");
    assert_eq!(passes(&mut scan, "a ghp_"), "a ");
    assert_eq!(passes(&mut scan, "abc"), "");
    assert_eq!(passes(&mut scan, "\n"), "ghp_abc\n");
    assert_eq!(scan.end(), Ok(Bytes::new()));
}

#[test]
fn of_a_find_nothing_passes_until_it_is_excused() {
    let pat = pat();
    for at in 0..pat.len() {
        let mut scan = Scan::new(scanner(RULES, &[]));
        let (head, tail) = (format!("body {}", &pat[..at]), format!("{}\n", &pat[at..]));
        let before = scan.pass(head.clone().into()).unwrap();
        assert!(before == "body " || at < 4 && head.as_bytes() == before, "{at} {before:?}");
        assert_eq!(scan.pass(tail.clone().into()), Err(vec![Arc::from("pat")]));
        assert_eq!(scan.pass(Bytes::new()), Err(vec![Arc::from("pat")]));
        scan.excuse(&[Arc::from("pat")]);
        let rest = scan.pass(Bytes::new()).unwrap();
        assert_eq!([before, rest].concat(), format!("{head}{tail}").as_bytes());
    }
}

#[test]
fn a_match_that_never_ends_is_a_find_and_memory_is_bounded() {
    let scanner = scanner("[[rules]]\nid = \"long\"\nregex = \"k[a-z]{20,}\"\nkeywords = [\"k\"]\n", &[]);
    let mut scan = Scan::new(scanner);
    for _ in 0..1000 {
        assert!(scan.pass(Bytes::from_static(&[b'.'; 1000])).is_ok());
        assert!(scan.seen.len() <= WINDOW + 1000, "{}", scan.seen.len());
    }
    assert!((0..10).any(|_| scan.pass(Bytes::from_static(&[b'k'; 1000])).is_err()));
}

#[test]
fn a_find_within_a_match_that_is_none_is_found_whole_and_in_pieces() {
    let scanner = scanner(RULES, &["correct-horse-battery"]);
    let dots = ".".repeat(5000);
    let (head, tail) = ("ghp_password: ghp_PASSWORD:PASSWORD:ghp_PASSWORD:", "PASSWORD:ghp_ghp_ghp_ correct-horse-battery");
    for (text, wanted) in [
        (format!("{head}{dots}{tail}"), vec!["line", "secret-1"]),
        (format!("password: {}password:q1w2e3r4 ", "a".repeat(1000)), vec!["line"]),
        (format!("password: {}password:aaaaaaaa ", "a".repeat(1000)), vec![]),
    ] {
        let found: Vec<String> = scanner.look(text.as_bytes()).iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{:.80}", text);
        for at in [0, 20, 1010, 4136, 5040, 5060] {
            let (_, pieces) = cut(&scanner, text.as_bytes(), &[at]);
            assert_eq!(pieces.first().map(ToString::to_string).as_deref(), wanted.first().copied(), "{at} {:.80}", text);
        }
    }
}

#[test]
fn what_matches_that_are_no_finds_cost_is_bounded() {
    let scanner = scanner(RULES, &[]);
    let text = |times: usize| format!("{}{}password:q1w2e3r4 ", "password:".repeat(times), "a".repeat(4 * WINDOW));
    let found = |times: usize| scanner.look(text(times).as_bytes()).len();
    assert_eq!((found(1), found(3), found(40)), (1, 1, 0));
}

proptest! {
    #[test]
    fn however_a_body_is_cut_the_same_is_found_and_nothing_else_is_changed(
        words in prop::collection::vec(prop::sample::select(vec![
            "ghp_", "aB3aB3aB3aB3", "aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", "0123456789abcdef", " ", "\n", "password: ", "PASSWORD:", "q1w2e3r4", "correct-horse", "-battery", "x", "----", "Y29ycmVjdC1ob3JzZS1iYXR0",
        ]), 0..24),
        filler in prop::sample::select(vec![0_usize, 10, 1020, 4090, 5000]),
        cuts in prop::collection::vec(0_usize..6000, 0..40),
    ) {
        let scanner = scanner(RULES, &["correct-horse-battery"]);
        let half = words.len() / 2;
        let text = [words[..half].concat(), ".".repeat(filler), words[half..].concat()].concat().into_bytes();
        let (whole, found) = cut(&scanner, &text, &[]);
        let (passed, found_in_pieces) = cut(&scanner, &text, &cuts);
        // A cut body ends at its first find.
        prop_assert_eq!(found.is_empty(), found_in_pieces.is_empty());
        prop_assert!(found_in_pieces.iter().all(|find| found.contains(find)));
        prop_assert!(text.starts_with(&passed));
        if found.is_empty() {
            prop_assert_eq!(&whole, &text);
            prop_assert_eq!(&passed, &text);
        }
        let value = b"correct-horse-battery";
        prop_assert!(!passed.windows(value.len()).any(|window| window == value));
    }
}
