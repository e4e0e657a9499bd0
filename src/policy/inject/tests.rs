use std::time::SystemTime;

use super::*;
use crate::policy::allowlist::{Allowlist, IncludeName, IncludedText, Library, Reading, Unfound};
use crate::policy::fault::{Fault, Warning};
use crate::policy::floor::Floor;

/// One file beside the agent's.
#[derive(Debug)]
struct Beside(&'static str);

impl Library for Beside {
    fn text(&self, _name: &IncludeName) -> Result<IncludedText, Unfound> {
        Ok(IncludedText { file: "base.toml".into(), text: self.0.into() })
    }
}

fn read(text: &str, inspects: bool) -> Result<(Allowlist, Vec<Warning>), String> {
    let beside = Beside("[[inject]]\nhost = \"x.example\"\nheader = \"authorization\"\nvalue = { env = \"X\" }\n");
    let reading = Reading { now: SystemTime::UNIX_EPOCH, floor: &Floor::none(), library: &beside, inspects };
    let words = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n");
    Allowlist::read("a.toml", &format!("agent = \"a\"\n{text}"), &reading).map_err(words)
}

const RULE: &str =
    "[[allow]]\nhost = [\"api.example.com\", \"127.0.0.1\"]\naddresses = [\"public\", \"127.0.0.1\"]\nport = [80, 443, 8443]\n";

/// `API` with these keys after host, port, header and value.
fn with(keys: &str) -> String {
    format!("{RULE}[[inject]]\nhost = \"api.example.com\"\nheader = \"Authorization\"\nvalue = {{ env = \"API_TOKEN\" }}\n{keys}")
}

#[test]
fn an_inject_reads_as_written() {
    let text = format!(
        "{}prefix = \"Bearer \"\nmask = true\nmethod = [\"GET\"]\npath = \"/v1/**\"\n[[inject]]\nhost = \"API.Example.com.\"\nport = 8443\nheader = \"x-api-key\"\nvalue = {{ command = [\"pass\", \"show\", \"x\"], cache = \"90s\" }}\nplaceholder = \"PLACEHOLDER\"\n[[inject]]\nhost = \"127.0.0.1\"\nscheme = \"http\"\nheader = \"cookie\"\nvalue = {{ file = \"secret.txt\" }}\n[[inject]]\nhost = \"api.example.com\"\ncertificate = {{ chain = \"c.pem\", key = \"k.pem\" }}\n",
        with("")
    );
    let (allowlist, _) = read(&text, true).unwrap();
    let place = |line| RuleRef { file: "a.toml".into(), line };
    let to = |text: &str| Destination::parse(text).unwrap();
    let header = |name: &str, prefix: &str, value, placeholder: Option<&str>| Credential::Header {
        name: name.into(),
        prefix: prefix.into(),
        value,
        placeholder: placeholder.map(Arc::from),
    };
    let request = allowlist.injects[0].request.clone();
    let words = request.as_ref().map(|request| (request.methods.join(" "), request.paths[0].to_string()));
    assert_eq!(words, Some(("GET".to_owned(), "/v1/**".to_owned())));
    let every = |line, destination, credential| Inject {
        place: place(line),
        destination,
        scheme: Scheme::Https,
        request: None,
        credential,
        mask: false,
    };
    let command = SecretSource::Command { line: ["pass", "show", "x"].map(Arc::from).into(), cache: Duration::from_secs(90) };
    let bearer = header("authorization", "Bearer ", SecretSource::Env("API_TOKEN".into()), None);
    let expected = [
        Inject { request, mask: true, ..every(6, to("api.example.com:443"), bearer) },
        every(14, to("api.example.com:8443"), header("x-api-key", "", command, Some("PLACEHOLDER"))),
        Inject {
            scheme: Scheme::Http,
            ..every(20, to("127.0.0.1:80"), header("cookie", "", SecretSource::File("secret.txt".into()), None))
        },
        every(25, to("api.example.com:443"), Credential::Certificate { chain: "c.pem".into(), key: "k.pem".into() }),
    ];
    assert_eq!(allowlist.injects.iter().map(|inject| inject.as_ref().clone()).collect::<Vec<_>>(), expected);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row for each way to be wrong")]
fn what_is_wrong_with_an_inject_is_told_and_never_a_secret() {
    let host =
        |host: &str, keys: &str| format!("{RULE}[[inject]]\nhost = {host}\nheader = \"authorization\"\nvalue = {{ env = \"X\" }}\n{keys}");
    let header = |header: &str| format!("{RULE}[[inject]]\nhost = \"api.example.com\"\nheader = \"{header}\"\nvalue = {{ env = \"X\" }}\n");
    let value = |value: &str| format!("{RULE}[[inject]]\nhost = \"api.example.com\"\nheader = \"authorization\"\nvalue = {value}\n");
    for (text, expected) in [
        (
            host("\"*.example.com\"", ""),
            "a.toml:7:8: found \"*.example.com\", a pattern; wanted one host, exactly; fix: name one host; a second one has an [[inject]] of its own",
        ),
        (host("\"10.0.0.0/8\"", ""), "a pattern; wanted one host, exactly"),
        (host("[\"a.example\", \"b.example\"]", ""), "wanted a text"),
        (host("\"api.example.com:443\"", ""), "wanted one host, exactly"),
        (
            host("\"api.example.com\"", "scheme = \"http\"\n"),
            "a.toml:10:10: found scheme \"http\" for another host than this one; wanted https, or a loopback address such as 127.0.0.1",
        ),
        (host("\"localhost\"", "scheme = \"http\"\n"), "scheme \"http\" for another host than this one"),
        (host("\"10.0.0.1\"", "scheme = \"http\"\n"), "scheme \"http\" for another host than this one"),
        (host("\"api.example.com\"", "port = 0\n"), "a.toml:10:8: found port 0"),
        (
            host("\"api.example.com\"", "placeholder = \"\"\n"),
            "a.toml:10:15: found a value of placeholder that is not shown; wanted the text that stands for the secret",
        ),
        (host("\"api.example.com\"", "placeholder = \"P\"\nprefix = \"Bearer \"\n"), "a.toml:11:10: found prefix beside placeholder"),
        (host("\"api.example.com\"", "prefix = \"a\\nb\"\n"), "found a value of prefix that is not shown"),
        (host("\"api.example.com\"", "prefx = \"a\"\n"), "did you mean prefix?"),
        (host("\"api.example.com\"", "until = 2027-01-01\n"), "the unknown key \"until\" in [[inject]]"),
        (header("Host"), "found a value of header that is not shown; wanted the name of a header field; fix: host holds no credential"),
        (header("proxy-authorization"), "holds no credential of an origin"),
        (header("content-length"), "holds no credential of an origin"),
        (header("Sec-WebSocket-Key"), "holds no credential of an origin"),
        (header(":authority"), "fix: write one such as \"authorization\""),
        (header("sk-hunter2 x"), "a value of header that is not shown"),
        (value("\"sk-hunter2\""), "a.toml:9:9: found a text in value (not shown); wanted where the secret comes from, never itself"),
        (value("{ env = \"sk-hunter2\" }"), "found a value of env that is not shown; wanted the name of a variable"),
        (value("{}"), "found a value from nowhere; wanted one of env, file and command"),
        (value("{ env = \"X\", file = \"y\" }"), "found more than one source of a value"),
        (value("{ file = \"\" }"), "fix: name a file"),
        (value("{ command = [] }"), "found an empty list; wanted at least a program"),
        (value("{ command = [\"\", \"x\"] }"), "found a command without a program"),
        (value("{ command = [\"x\"], cache = \"0s\" }"), "wanted a duration from 1s to 24h"),
        (value("{ command = [\"x\"], cache = \"25h\" }"), "wanted a duration from 1s to 24h"),
        (value("{ file = \"y\", cache = \"5m\" }"), "found cache without command"),
        (value("{ keyring = { service = \"x\", name = \"y\" } }"), "fix: ask it with a command"),
        (value("{ evn = \"X\" }"), "did you mean env?"),
        (format!("{RULE}[[inject]]\nhost = \"api.example.com\"\n"), "found no key header in [[inject]]"),
        (format!("{RULE}[[inject]]\nhost = \"api.example.com\"\nheader = \"cookie\"\n"), "found no key value in [[inject]]"),
        (format!("{RULE}[[inject]]\nheader = \"cookie\"\nvalue = {{ env = \"X\" }}\n"), "found no key host in [[inject]]"),
        (
            format!("{RULE}[[inject]]\nhost = \"api.example.com\"\nheader = \"cookie\"\ncertificate = {{ chain = \"c\", key = \"k\" }}\n"),
            "found header in [[inject]]; wanted either a certificate or a header",
        ),
        (format!("{RULE}[[inject]]\nhost = \"api.example.com\"\ncertificate = {{ chain = \"c\" }}\n"), "found no key key in "),
        (
            format!("{RULE}[[inject]]\nhost = \"127.0.0.1\"\nscheme = \"http\"\ncertificate = {{ chain = \"c\", key = \"k\" }}\n"),
            "a certificate where there is no TLS",
        ),
        (format!("{RULE}inject = \"x\"\n"), "found inject in [[allow]]; wanted [[inject]] of its own"),
        ("[inject]\nhost = \"x.example\"\n".to_owned(), "wanted a list of tables, [[inject]]"),
        (
            "include = [\"base\"]\n".to_owned(),
            "base.toml:1:3: found inject in the top level; wanted a file with nothing but rules, include and expect",
        ),
    ] {
        let said = read(&text, true).map_or_else(|said| said, |_| "loads".to_owned());
        assert!(said.contains(expected), "{text}\n{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let floor = Floor::read("floor.toml", "[[inject]]\nhost = \"x.example\"\n", true).unwrap_err();
    assert!(
        floor[0].to_string().starts_with("floor.toml:1:3: found inject in the top level; wanted inject only in an agent's allowlist"),
        "{}",
        floor[0]
    );
}

#[test]
fn an_inject_into_tls_wants_a_ca_and_one_into_plain_http_on_loopback_does_not() {
    let said = read(&with(""), false).unwrap_err();
    assert!(said.starts_with("a.toml:6:1: found [[inject]] and no CA: requests inside TLS cannot be seen"), "{said}");
    assert!(said.contains("fix: run `exeat ca init` and name what it made in [inspect] of exeat.toml"), "{said}");
    let plain = format!("{RULE}[[inject]]\nhost = \"127.0.0.1\"\nscheme = \"http\"\nheader = \"cookie\"\nvalue = {{ env = \"X\" }}\n");
    assert_eq!(read(&plain, false).unwrap().0.injects.len(), 1);
}

#[test]
fn two_credentials_for_one_place_in_one_request_do_not_load() {
    let one = "[[inject]]\nhost = \"api.example.com\"\nheader = \"authorization\"\nvalue = { env = \"A\" }\n";
    for (first, other, loads) in [
        ("", one.to_owned(), false),
        ("", one.replace("authorization", "Authorization"), false),
        ("", one.replace("api.example.com", "API.example.com."), false),
        ("", format!("{one}method = \"GET\"\n"), false),
        ("", format!("{one}port = 8443\n"), true),
        ("", one.replace("authorization", "x-api-key"), true),
        ("method = \"POST\"\n", format!("{one}method = \"GET\"\n"), true),
        ("path = \"/a/**\"\n", format!("{one}path = \"/b/**\"\n"), true),
        ("path = \"/a/**\"\n", format!("{one}path = \"/a/b\"\n"), false),
        ("path = \"/a/**\"\n", format!("{one}path = \"/**\"\n"), false),
        ("path = \"/a/**\"\nmethod = \"GET\"\n", format!("{one}path = \"/a/**\"\nmethod = \"POST\"\n"), true),
    ] {
        let said = read(&format!("{}{other}", with(first)), true).map(|_| ());
        assert_eq!(said.is_ok(), loads, "{first} {other}: {said:?}");
        let words =
            |said: &String| said.contains("a second [[inject]] for authorization of requests to api.example.com:443, beside a.toml:6;");
        assert!(said.as_ref().err().is_none_or(words), "{said:?}");
    }
}

#[test]
fn an_inject_beside_a_rule_that_hides_its_requests_does_not_load() {
    for (keys, host, loads) in [
        ("opaque = true", "*.example.com", false),
        ("exclude = true", "*.example.com", false),
        ("exclude = true", "api.example.com", false),
        ("exclude = true\nport = 8443", "*.example.com", true),
        ("exclude = true", "*.example.org", true),
    ] {
        let text = format!("{}[[allow]]\nhost = \"{host}\"\n{keys}\n", with(""));
        let said = read(&text, true).map(|_| ());
        // The rule for the host itself is not opaque, and stands beside.
        assert_eq!(said.is_ok(), loads, "{keys} {host}: {said:?}");
        let key = if keys.starts_with("opaque") { "opaque" } else { "exclude" };
        let expected = format!("a.toml:6:1: found [[inject]] where a.toml:10 says {key}; wanted either: ");
        assert!(said.as_ref().err().is_none_or(|said| said.contains(&expected)), "{said:?}");
    }
}

#[test]
fn what_deserves_a_second_look_is_told() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let bound = "method = \"GET\"\npath = \"/v1/**\"\n";
    let codes = |text: &str| -> Vec<&'static str> { read(text, true).unwrap().1.iter().map(|warning| warning.code).collect() };
    for (text, expected) in [
        (with(bound), vec![]),
        (with("path = \"/v1/**\"\n"), vec![]),
        (with(""), vec!["unbound-inject"]),
        (with(bound).replace(RULE, ""), vec!["unused-inject"]),
        (with(bound).replace("[[allow]]", "[[hold]]"), vec![]),
        (with(bound).replace(", 443", ""), vec!["unused-inject"]),
        (format!("{}[[identify]]\nsource = \"10.0.0.0/8\"\n", with(bound)), vec!["unproven-inject"]),
        (format!("{}[[identify]]\nlistener = \"x\"\n[[identify]]\ntoken = \"{digest}\"\n", with(bound)), vec![]),
    ] {
        assert_eq!(codes(&text), expected, "{text}");
    }
}

#[test]
fn a_host_is_one_host_however_it_is_spelt_and_never_its_neighbour() {
    let of = |host: &str, spelt: &str| {
        let addresses = "addresses = [\"public\", \"127.0.0.0/8\", \"::1/128\"]";
        let text = format!(
            "[[allow]]\nhost = \"{host}\"\n{addresses}\n[[inject]]\nhost = \"{host}\"\nheader = \"authorization\"\nvalue = {{ env = \"X\" }}\n"
        );
        let (allowlist, _) = read(&text, true).unwrap_or_else(|said| panic!("{host}: {said}"));
        let Ok(destination) = Destination::parse(&format!("{spelt}:443")) else { return false };
        allowlist.injects[0].destination == destination
    };
    for (host, spelt, wanted) in [
        ("bücher.example", "xn--bcher-kva.example", true),
        ("bücher.example", "BÜCHER.example.", true),
        ("xn--bcher-kva.example", "bücher.example", true),
        ("bücher.example", "bucher.example", false),
        ("bücher.example", "bu\u{308}cher.example", true),
        ("straße.example", "strasse.example", false),
        ("api.example.com", "аpi.example.com", false),
        ("api.example.com", "ａｐｉ.example.com", false),
        ("api.example.com", "api。example。com", false),
        ("api.example.com", "api.example.com..", false),
        ("api.example.com", "x.api.example.com", false),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.1.", false),
        ("127.0.0.1", "127.1", false),
        ("127.0.0.1", "0x7f000001", false),
        ("127.0.0.1", "2130706433", false),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "localhost", false),
        ("[::1]", "[::1]", true),
        ("[::1]", "[0:0:0:0:0:0:0:1]", true),
        ("[::1]", "127.0.0.1", false),
    ] {
        assert_eq!(of(host, spelt), wanted, "{host} {spelt}");
    }
}
