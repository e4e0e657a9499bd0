//! The files of the page: what they load, what they never do, and whether their colours can be read.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// Text and what it stands on: every pair that the style sheet makes.
const PAIRS: [(&str, &str); 18] = [
    ("ink", "paper"),
    ("ink", "card"),
    ("ink", "sunk"),
    ("soft", "paper"),
    ("soft", "card"),
    ("soft", "sunk"),
    ("accent", "paper"),
    ("accent", "card"),
    ("accent", "accent-wash"),
    ("accent-ink", "accent"),
    ("warn", "card"),
    ("warn", "paper"),
    ("warn", "sunk"),
    ("warn", "warn-wash"),
    ("trouble", "card"),
    ("trouble", "paper"),
    ("ink", "warn-wash"),
    ("soft", "accent-wash"),
];

#[test]
fn text_has_a_contrast_of_four_and_a_half_in_both_schemes() {
    let css = text_of("page.css");
    let (light, rest) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let (dark, _) = rest.split_once("\n}\n").unwrap();
    for (scheme, colours) in [("light", colours(light)), ("dark", colours(dark))] {
        for (text, ground) in PAIRS {
            let contrast = contrast(colours[text], colours[ground]);
            assert!(contrast >= 4.5, "{scheme}: {text} on {ground} is {contrast:.2}");
        }
        for ground in ["card", "paper"] {
            assert!(contrast(colours["edge"], colours[ground]) >= 3.0, "{scheme}: what surrounds a field cannot be seen on {ground}");
        }
    }
}

#[test]
fn contrast_is_computed_as_wcag_says() {
    assert!((contrast([255; 3], [0; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([0x77; 3], [255; 3]) - 4.478).abs() < 0.001);
}

#[test]
fn the_style_sheet_names_colours_only_as_variables() {
    let css = text_of("page.css");
    let (_, rules) = css.split_once("*, ::before, ::after").unwrap();
    let literal = rules.lines().find(|line| line.split([' ', ':', ';']).any(|word| word.starts_with('#')));
    assert_eq!(literal, None);
}

#[test]
fn no_script_makes_markup_or_code_of_text() {
    let never = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "setHTML",
        "DOMParser",
        "cookie",
        "localStorage",
    ];
    for (name, _, text) in FILES {
        for word in never {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn every_file_that_is_loaded_is_one_of_the_page() {
    for (name, kind, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let from = line.split('"').nth(1).unwrap();
            let file = from.strip_prefix("./").unwrap();
            assert!(FILES.iter().any(|(known, its, _)| known == &file && its == kind), "{name} loads {from}");
        }
    }
    let shell = Shell { version: "1", sections: SECTIONS }.render().unwrap();
    for attribute in ["src=\"", "href=\""] {
        for loaded in shell.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let ours = loaded.strip_prefix("/page/").is_some_and(|file| FILES.iter().any(|(known, _, _)| *known == file));
            assert!(ours || loaded.starts_with("data:image/svg+xml,") || loaded.starts_with('#'), "{loaded}");
        }
    }
    for banned in [" style=", " onclick=", "<script>", "<style>"] {
        assert!(!shell.contains(banned), "{banned}");
    }
}

#[test]
fn every_section_has_a_tab_that_names_it() {
    let shell = Shell { version: "1", sections: SECTIONS }.render().unwrap();
    for (id, name) in SECTIONS {
        assert!(shell.contains(&format!("<button id=\"tab-{id}\" type=\"button\" role=\"tab\" aria-controls=\"{id}\"")), "{shell}");
        assert!(shell.contains(&format!("<section id=\"{id}\" role=\"tabpanel\" aria-labelledby=\"tab-{id}\" hidden>")), "{shell}");
        assert!(shell.contains(&format!("<h1 class=\"unseen\">{name}</h1>")), "{shell}");
    }
}

#[tokio::test]
async fn every_file_comes_with_the_same_strict_headers() {
    let paths = FILES.iter().map(|(name, kind, _)| (format!("/page/{name}"), *kind)).chain([("/".to_owned(), HTML)]);
    for (path, kind) in paths {
        let answer = ask(&path).await;
        let headers = answer.headers();
        let expected = [
            ("content-type", kind),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ];
        assert_eq!(answer.status(), 200, "{path}");
        for (name, value) in expected {
            assert_eq!(headers.get(name).unwrap(), value, "{path}");
        }
        assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn nothing_else_is_there() {
    for path in ["/page/", "/page/none.js", "/page/..%2fmod.rs", "/index.html"] {
        assert_eq!(ask(path).await.status(), 404, "{path}");
    }
}

async fn ask(path: &str) -> Response {
    let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    routes::<()>().oneshot(request).await.unwrap()
}

fn text_of(file: &str) -> &'static str {
    FILES.iter().find(|(name, _, _)| *name == file).unwrap().2
}

fn colours(css: &str) -> BTreeMap<&str, [u8; 3]> {
    let pairs = css.lines().filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"));
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    pairs.map(|(name, hex)| (name, [byte(hex, 0), byte(hex, 2), byte(hex, 4)])).collect()
}

/// WCAG 2.2: the contrast ratio of two colours.
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: [u8; 3]) -> f64 {
    let linear = |byte: u8| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
