//! What speaks against a destination, in words a person understands at a glance.

use super::{Risk, preset};
use crate::policy::address::AddressClass;
use crate::policy::approvals::Subject;
use crate::policy::attempt::Scheme;
use crate::policy::destination::Destination;
use crate::policy::host::{Host, Name};
use crate::policy::preset::PresetEffect;
use crate::policy::suffix;

/// Labels shorter than this are words, whatever they are made of.
const LONG: usize = 12;

/// Labels longer than this are no words, whatever they are made of.
const TOO_LONG: usize = 40;

/// What ports other than the web's are for, by IANA's registry of service names and the servers that are found there.
const PORTS: [(&[u16], &str); 18] = [
    (&[20, 21], "FTP: files, in the clear"),
    (&[22], "SSH: a shell, files and tunnels"),
    (&[23], "Telnet: a shell, in the clear"),
    (&[25, 465, 587, 2525], "mail is sent there"),
    (&[53, 853], "DNS: data can leave in names"),
    (&[110, 143, 993, 995], "mailboxes are read there"),
    (&[389, 636], "LDAP: a directory of people"),
    (&[445], "SMB: shared folders"),
    (&[1080, 3128, 8118], "another proxy, which leads anywhere"),
    (&[1433, 1521, 3306, 5432], "a database"),
    (&[1883, 8883], "MQTT: messages of machines"),
    (&[3389, 5900], "a remote desktop"),
    (&[6379, 11211], "a cache or data store, often without a password"),
    (&[6443, 2375, 2376], "control of containers"),
    (&[6667, 6697], "IRC: chat"),
    (&[9001, 9030, 9050, 9150], "Tor"),
    (&[9418], "git, in the clear"),
    (&[27017], "a database"),
];

/// All that speaks against it, the gravest first.
pub(super) fn risks(subject: &Subject) -> Vec<Risk> {
    let Subject { agent: _, instance: _, destination, scheme, request: _ } = subject;
    let against = preset::about(destination, PresetEffect::Block);
    let against = against.iter().map(|preset| risk("listed-against", format!("preset {} blocks it: {}", preset.name, preset.title)));
    let host = match &destination.host {
        Host::Name(name) => of_name(name),
        Host::Address(address) => {
            let what = match AddressClass::of(*address) {
                AddressClass::Public => "a bare address: nobody knows whose it will be".to_owned(),
                AddressClass::Special(what) | AddressClass::Metadata(what) => format!("a bare address that is not public: {what}"),
            };
            vec![risk("address", what)]
        }
    };
    let plain = scheme
        .filter(|scheme| *scheme == Scheme::Http)
        .map(|_http| risk("plain-http", "plain HTTP: anyone on the way reads and changes it".to_owned()));
    against.into_iter().chain(host).chain(port(destination)).chain(plain).collect()
}

fn of_name(name: &Name) -> Vec<Risk> {
    let text = name.as_str();
    let mut found = Vec::new();
    if let Some((zone, words)) = suffix::shared_words(name) {
        found.push(risk("shared-host", format!("anyone can rent a place at {zone} ({words})")));
    } else if let Some(zone) = suffix::private_suffix(name).filter(|zone| *zone != text) {
        found.push(risk("rented-name", format!("anyone can have a name under {zone}")));
    }
    if psl::suffix_str(text) == Some(text) && text.contains('.') {
        found.push(risk("public-suffix", "a public suffix: names under it belong to many".to_owned()));
    }
    let front = suffix::registrable(name).and_then(|part| text.strip_suffix(part)).unwrap_or(text);
    if front.split('.').any(|label| is_random(label) || label.len() > TOO_LONG) {
        found.push(risk("random-label", "a long, random-looking label: data can leave in a name".to_owned()));
    }
    if text.split('.').any(|label| label.starts_with("xn--")) {
        found.push(risk("punycode", "not in plain letters: read it twice".to_owned()));
    }
    found
}

fn port(to: &Destination) -> Option<Risk> {
    let port = to.port.number();
    if [80, 443].contains(&port) {
        return None;
    }
    let known = PORTS.iter().find(|(ports, _)| ports.contains(&port));
    let what = known.map_or_else(|| "not one of the web".to_owned(), |(_, what)| (*what).to_owned());
    Some(risk("port", format!("port {port}: {what}")))
}

fn risk(code: &str, text: String) -> Risk {
    Risk { code: code.to_owned(), text }
}

/// Whether a label looks as if nobody had thought of it: long, and letters and digits that alternate, or hardly a vowel. So look identifiers,
/// and data carried out in names.
pub(super) fn is_random(label: &str) -> bool {
    if label.len() < LONG || label.starts_with("xn--") {
        return false;
    }
    let letters: Vec<char> = label.chars().filter(|char| *char != '-').collect();
    let turns = letters.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
    let words = letters.iter().filter(|char| char.is_ascii_alphabetic()).count();
    let vowels = letters.iter().filter(|char| "aeiouy".contains(**char)).count();
    turns > 3 || words >= LONG && vowels * 6 < words
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::approval::testing::attempt;

    fn codes(to: &str, scheme: Option<Scheme>) -> Vec<String> {
        let subject = Subject { destination: Destination::parse(to).unwrap(), scheme, ..Subject::of(&attempt(1, "coder", 1)) };
        risks(&subject).into_iter().map(|risk| format!("{}: {}", risk.code, risk.text)).collect()
    }

    #[test]
    fn what_speaks_against_a_destination_is_said_in_few_words() {
        let rows: [(&str, Option<Scheme>, &[&str]); 9] = [
            ("api.example.com:443", None, &[]),
            ("api.example.com:80", Some(Scheme::Http), &["plain-http: plain HTTP: anyone on the way reads and changes it"]),
            ("192.0.2.1:443", None, &["address: a bare address that is not public: documentation (TEST-NET-1), RFC 5737"]),
            (
                "8.8.8.8:53",
                None,
                &["address: a bare address: nobody knows whose it will be", "port: port 53: DNS: data can leave in names"],
            ),
            ("git.example.com:22", None, &["port: port 22: SSH: a shell, files and tunnels"]),
            ("git.example.com:8080", None, &["port: port 8080: not one of the web"]),
            ("co.uk:443", None, &["public-suffix: a public suffix: names under it belong to many"]),
            ("xn--bcher-kva.example.com:443", None, &["punycode: not in plain letters: read it twice"]),
            ("nbswy3dpeb3w64tmmq.example.com:443", None, &["random-label: a long, random-looking label: data can leave in a name"]),
        ];
        for (to, scheme, said) in rows {
            assert_eq!(codes(to, scheme), said, "{to}");
        }
        assert_eq!(
            codes("mine.s3.amazonaws.com:443", None),
            ["shared-host: anyone can rent a place at s3.amazonaws.com (Object storage: buckets in the host or in the path)"]
        );
        assert!(codes("webhook.site:443", None)[0].starts_with("listed-against: preset exfil-watch blocks it: "));
    }

    #[test]
    fn identifiers_and_data_look_random_and_words_do_not() {
        let rows = [
            ("nbswy3dpeb3w64tmmq", true),
            ("550e8400-e29b-41d4-a716-446655440000", true),
            ("7f83b1657ff1fc53b92dc18148a1d65d", true),
            ("kqzxwvbnmrtplk", true),
            ("productionresultssa0", false),
            ("objects-origin-eu1", false),
            ("raw", false),
            ("a1b2c3", false),
            ("xn--80ak6aa92e12b3c4", false),
            ("ec2-54-12-33-101", false),
        ];
        for (label, random) in rows {
            assert_eq!(is_random(label), random, "{label}");
        }
    }
}
