use super::*;

fn args() -> InitArgs {
    InitArgs { days: 3, name: None, permit: Vec::new(), exclude: Vec::new(), rotate: false, promote: false }
}

#[test]
fn a_domain_or_a_network_is_what_is_constrained() {
    let rows = [
        ("Example.TEST.", "example.test"),
        ("b\u{fc}cher.test", "xn--bcher-kva.test"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("[2001:db8::1]", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
    ];
    for (given, wanted) in rows {
        assert_eq!(subtree(given).unwrap().to_string(), wanted);
    }
    for given in ["", "*.example.test", "a b", "https://example.test", "10.0.0.0/33"] {
        assert!(subtree(given).unwrap_err().is::<Usage>(), "{given}");
    }
}

#[test]
fn a_name_is_one_line_of_64_bytes_at_most() {
    let now = SystemTime::now();
    for (name, good) in [("exeat", true), (&"x".repeat(64), true), (&"x".repeat(65), false), ("", false), (" ", false), ("a\nb", false)] {
        let made = made(&InitArgs { name: Some(name.to_owned()), ..args() }, &[], now);
        assert_eq!(made.is_ok(), good, "{name:?}");
    }
}

#[test]
fn no_two_authorities_have_one_name_unless_they_are_given_it() {
    let now = SystemTime::now();
    let name = || certificates(made(&args(), &[], now).unwrap().certificate.as_bytes()).unwrap()[0].subject().to_owned();
    let names: std::collections::BTreeSet<String> = (0..8).map(|_| name()).collect();
    assert!(names.len() > 4 && names.iter().all(|name| name.starts_with("CN=exeat CA 20")), "{names:?}");
}

#[test]
fn the_next_one_keeps_the_constraints_of_the_last_unless_it_is_given_others() {
    let now = SystemTime::now();
    let read = |made: Made| certificates(made.certificate.as_bytes()).unwrap().remove(0);
    let first = read(made(&InitArgs { permit: vec!["a.test".into()], ..args() }, &[], now).unwrap());
    let kept = read(made(&args(), std::slice::from_ref(&first), now).unwrap());
    assert_eq!(kept.constraints(), first.constraints());
    let other = read(made(&InitArgs { permit: vec!["b.test".into()], ..args() }, std::slice::from_ref(&first), now).unwrap());
    assert!(other.constraints().to_string().starts_with("only b.test, "), "{}", other.constraints());
}
