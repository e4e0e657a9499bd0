//! What a refusal says, the same from every front: a sentence for the reason phrase, a paragraph for a model.
//!
//! Nothing an agent sent is repeated but the host's A-label.

use std::net::IpAddr;

use http::StatusCode;

use crate::egress::record::Front;
use crate::egress::{Budget, Cause, CertificateFault, Exhausted, Leak, NetworkFault, Refusal, Unready};
use crate::policy::address::{AddressClass, AddressRefusal};
use crate::policy::approvals::Echo;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;
use crate::policy::units::spelled_size;
use crate::text::plain;

/// The longest reason phrase; some clients cut or refuse longer ones.
const LONGEST_SENTENCE: usize = 118;

/// The longest note of an approver, in characters.
const LONGEST_NOTE: usize = 500;

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The HTTP status.
    pub status: StatusCode,
    /// The RFC 9209 error type.
    pub proxy_error: &'static str,
    /// A few words that name the kind.
    pub title: &'static str,
    /// One sentence, ASCII, short enough for a reason phrase.
    pub sentence: String,
    /// What, why, whether a retry can help, what not to do.
    pub detail: String,
    /// Whether the same attempt may pass later without a change of policy.
    pub retryable: bool,
    /// Seconds after which a retry makes sense.
    pub retry_after: Option<u32>,
}

/// Puts a refusal into words.
pub fn of(refusal: &Refusal) -> Words {
    let host = refusal.destination.as_ref().map_or_else(|| "the target".to_owned(), ToString::to_string);
    let Kind { status, proxy_error, title, why, advice, retry_after } = kind(refusal, &host);
    let sentence = shortened(&format!("Egress refused: {why}"));
    let because = if let Cause::Rule { because: Some(because), .. } = &refusal.cause {
        format!(" The rule says: \"{}\".", because.trim_end_matches('.'))
    } else if let Cause::Denied { note: Some(note) } = &refusal.cause {
        format!(" The approver says: \"{}\".", note.trim_end_matches('.'))
    } else if let Cause::Echo { echo: Echo { until, note }, rule: _ } = &refusal.cause {
        let until =
            jiff::Timestamp::try_from(*until).map_or_else(|_| String::new(), |until| format!(" It is not asked again before {until:.0}."));
        let note = note.as_deref().map(|note| format!(" The approver says: \"{}\".", plain(note, LONGEST_NOTE).trim_end_matches('.')));
        note.unwrap_or_default() + &until
    } else if let Cause::Address { address: _, refusal: AddressRefusal::Outside(_), rule: None } = &refusal.cause {
        " `exeat approve` takes it with a yes, and `exeat run` when it is started, as --addresses.".to_owned()
    } else {
        String::new()
    };
    let detail = format!("{why}.{because} {advice}");
    let retryable = retry_after.is_some() || refusal.reason == Reason::Budget;
    Words { status, proxy_error, title, sentence, detail, retryable, retry_after }
}

struct Kind {
    status: StatusCode,
    proxy_error: &'static str,
    title: &'static str,
    why: String,
    advice: &'static str,
    retry_after: Option<u32>,
}

const POLICY: &str = "This is the egress policy, not an authentication or network fault: retrying and mirrors do not help. \
    Go on without it, or tell the person you work for what you need and why.";
const LATER: &str = "This is the egress policy, not a network fault. Retrying at once does not help; the same request may pass later, \
    when a person has said yes. Do not look for another way out.";
const ROOM: &str = "This is a limit of the egress policy, not a network fault. The same request passes once there is room: \
    wait, and where too much is open at once, end some of it. More attempts at once, and other ways out, are refused alike.";
const PERSON: &str =
    "A person decided this for this one destination; other work is not affected. Do not retry and do not look for another way out.";
const STOPPED: &str =
    "A person stopped this agent. Stop working, and tell the person you work for; nothing else passes either, so do not retry.";
const TARGET: &str = "Nothing was sent anywhere. Correct the request; the same one is refused again.";
const ORIGIN: &str = "The egress policy allows this destination; the fault lies on the way to it or in it. A retry may help.";
const NO_NAME: &str = "The egress policy allows this destination, and there is no such name. The same request fails again.";
const PRIVATE_ISSUER: &str = "Nothing was sent. exeat verifies every origin and cannot be told not to; options of yours for that change nothing. \
    If the issuer is a private one, the person who runs exeat names it under [upstream] as ca = \"FILE\".";
const SELF_SIGNED: &str = "Nothing was sent. exeat verifies every origin and cannot be told not to; options of yours for that change nothing. \
    Whoever runs the origin makes a server's own, with `openssl req -x509` by -addext basicConstraints=critical,CA:FALSE and \
    -addext subjectAltName=DNS:NAME, and the person who runs exeat names it under [upstream] as ca = \"FILE\".";
const UNSAFE: &str = "Nothing was sent. exeat verifies every origin and cannot be told not to; options of yours for that change nothing. \
    The fault is the origin's, or something between exeat and it: tell the person you work for.";
const SECRET: &str = "exeat refuses what it cannot equip or search as its policy says. It is not for the agent to mend: \
    do not look for the secret, retry later, and tell the person who runs exeat.";
const AGAIN: &str = "Nothing was sent. The same request is searched and judged anew when it is sent again.";
const NO_PROXY: &str = "Connect to the destination itself, without proxy variables: what may pass is redirected by itself.";
const NOBODY: &str = "No credentials can be sent on a redirected connection. Tell the person who runs exeat: a listener with transparent = true \
    needs agent = \"NAME\", or an allowlist that names the source.";
const OURS: &str = "The fault is exeat's own, and it refuses what it cannot record. Retry later, and tell the person who runs it.";

fn kind(refusal: &Refusal, host: &str) -> Kind {
    let agent = refusal.agent.as_ref().map_or("this agent", |agent| agent.as_str());
    let policy = |title, why| Kind {
        status: StatusCode::FORBIDDEN,
        proxy_error: "http_request_denied",
        title,
        why,
        advice: POLICY,
        retry_after: None,
    };
    let later = |title, why, retry_after| Kind { retry_after: Some(retry_after), advice: LATER, ..policy(title, why) };
    match refusal.reason {
        Reason::Unlisted => policy("Not on the allowlist", unlisted(refusal, host, agent)),
        Reason::Blocked => policy("Blocked by a rule", blocked(refusal, host, agent)),
        Reason::Refused => Kind { advice: PERSON, ..policy("Refused by a person", format!("a person refused {host} for {agent}")) },
        Reason::Quiet => {
            Kind { advice: PERSON, ..policy("Refused a short while ago", format!("a person refused {host} a short while ago")) }
        }
        Reason::Pending => {
            later("Waiting for an answer", format!("{host} waits for a person's answer, question {}", question(refusal)), 60)
        }
        Reason::Unattended => {
            later("Nobody can answer now", format!("{host} needs a yes and nobody can answer now, question {}", question(refusal)), 300)
        }
        Reason::Expired => later("The question expired", format!("the question about {host} expired unanswered"), 60),
        Reason::SpecialName => policy("Not a public name", format!("{host} is not a public name")),
        Reason::ForbiddenAddress => policy("Forbidden address", forbidden(refusal, host)),
        Reason::OwnAddress => own(refusal, policy("exeat itself", format!("{host} is exeat itself, or a server it uses"))),
        Reason::NameMismatch => {
            let mismatch = policy("Another name inside", format!("the request inside the tunnel is not for {host}"));
            let status = if refusal.cause == Cause::Misdirected { StatusCode::MISDIRECTED_REQUEST } else { mismatch.status };
            Kind { status, ..mismatch }
        }
        Reason::NotTls => policy("Not TLS", format!("the tunnel to {host} does not carry TLS")),
        Reason::Inspect => policy("Requests are judged here", format!("rules for {host} look at requests, and none is in sight")),
        Reason::Frozen => Kind { advice: STOPPED, ..policy("Stopped", format!("{agent} is stopped: everything it tries is refused")) },
        Reason::Budget => {
            let (why, retry_after) = budget(refusal, agent);
            Kind { advice: ROOM, retry_after, ..policy("Budget spent", why) }
        }
        Reason::PolicyChanged if refusal.cause == Cause::Unsearched => Kind {
            advice: AGAIN,
            retry_after: Some(1),
            ..policy("The policy changed", "what requests are searched for changed after this one was searched".to_owned())
        },
        Reason::PolicyChanged => policy("The policy changed", format!("{host} is allowed no longer")),
        Reason::UnknownAgent => unknown_agent(refusal),
        Reason::Malformed => malformed(refusal),
        Reason::Overloaded => overloaded(refusal, agent),
        Reason::DnsFailed | Reason::Unreachable => way_out(refusal, host),
        Reason::BadCertificate => certificate(refusal, host),
        Reason::Internal if matches!(refusal.cause, Cause::Secret(_)) => no_secret(refusal),
        // No refusal is made for a reason to allow; if one were, it would be a fault of ours.
        Reason::Internal | Reason::Listed | Reason::Approved | Reason::Observed => Kind {
            status: StatusCode::SERVICE_UNAVAILABLE,
            proxy_error: "proxy_internal_error",
            title: "exeat cannot do its part",
            why: "the decision could not be recorded".to_owned(),
            advice: OURS,
            retry_after: Some(30),
        },
    }
}

fn blocked(refusal: &Refusal, host: &str, agent: &str) -> String {
    if let Cause::Leak(Leak { place, found }) = &refusal.cause {
        format!("{place}: {found} cut the request to {host}, and what was left of it was not sent")
    } else {
        format!("a rule blocks {host} for {agent}")
    }
}

/// The words name where the secret is named, and nothing of it.
fn no_secret(refusal: &Refusal) -> Kind {
    let why = if let Cause::Secret(Unready { place, why }) = &refusal.cause {
        format!("a secret that {place} names cannot be had: {why}")
    } else {
        "a secret cannot be had".to_owned()
    };
    Kind {
        status: StatusCode::SERVICE_UNAVAILABLE,
        proxy_error: "proxy_internal_error",
        title: "exeat cannot do its part",
        why,
        advice: SECRET,
        retry_after: Some(30),
    }
}

fn unlisted(refusal: &Refusal, host: &str, agent: &str) -> String {
    if let Cause::NoWebSocket(rule) = &refusal.cause {
        let rule = rule.as_ref().map_or_else(|| "what lets it pass".to_owned(), ToString::to_string);
        return format!("{host} has no WebSocket for {agent}; {rule} has no websocket = true");
    }
    let other_ports = if let Cause::Rule { rule, because: _ } = &refusal.cause {
        format!(": {rule} lists the host for other ports or requests")
    } else {
        String::new()
    };
    format!("{host} is not on the allowlist of {agent}{other_ports}")
}

/// What is spent and whose it is, and the seconds until there is room where the clock alone makes it.
fn budget(refusal: &Refusal, agent: &str) -> (String, Option<u32>) {
    let Cause::Budget(Exhausted { by, limit }) = &refusal.cause else {
        return (format!("{agent} has spent what the policy lets it do"), None);
    };
    match limit {
        Budget::Open { most } => (format!("{agent} has {most} open at once, the most that {by} allow"), None),
        Budget::PerMinute { most, free_in } => {
            let seconds = free_in.as_millis().div_ceil(1000).try_into().unwrap_or(u32::MAX);
            (format!("{agent} began {most} within a minute, the most that {by} allow"), Some(seconds.max(1)))
        }
        Budget::BytesPerDay { most, free_in } => {
            let seconds = free_in.as_millis().div_ceil(1000).try_into().unwrap_or(u32::MAX);
            let most = spelled_size(*most);
            (
                format!("{agent} has moved {most} since 00:00 UTC, the most a day that {by} allow; it starts again at 00:00 UTC"),
                Some(seconds.max(1)),
            )
        }
    }
}

fn question(refusal: &Refusal) -> &str {
    if let Cause::Hold(hold) = &refusal.cause { &hold.id } else { "-" }
}

fn forbidden(refusal: &Refusal, host: &str) -> String {
    let Cause::Address { address, refusal: why, rule } = &refusal.cause else {
        return format!("{host} is an address that may not be reached");
    };
    let what = match why {
        AddressRefusal::Metadata(_) => "a cloud metadata service".to_owned(),
        AddressRefusal::Own => "exeat itself, or a server it uses".to_owned(),
        AddressRefusal::Never => "never dialled here".to_owned(),
        AddressRefusal::Blocked(rule) => format!("blocked by {rule}"),
        AddressRefusal::Outside(class) => outside(*class),
        AddressRefusal::Floor { class, file } => format!("{}, which `private` of the floor {file} does not list", outside(*class)),
    };
    match (why, rule) {
        (AddressRefusal::Outside(_), Some(rule)) => format!("{host} is {address}, {what}; {rule} has no `addresses` for it"),
        (AddressRefusal::Outside(_), None) => {
            format!("{host} is {address}, {what}; a yes needs --address {}", network(*address))
        }
        (
            AddressRefusal::Metadata(_)
            | AddressRefusal::Own
            | AddressRefusal::Never
            | AddressRefusal::Blocked(_)
            | AddressRefusal::Floor { class: _, file: _ },
            _,
        ) => {
            format!("{host} is {address}, {what}")
        }
    }
}

/// The address alone, as a network.
fn network(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

fn outside(class: AddressClass) -> String {
    match class {
        AddressClass::Public => "a public address".to_owned(),
        AddressClass::Metadata(_) => "a cloud metadata service".to_owned(),
        AddressClass::Special(name) => format!("not public ({name})"),
    }
}

fn own(refusal: &Refusal, own: Kind) -> Kind {
    if refusal.cause == Cause::Loop {
        let why = "the request came back to the exeat that sent it".to_owned();
        return Kind { status: StatusCode::LOOP_DETECTED, proxy_error: "proxy_loop_detected", title: "Loop", why, ..own };
    }
    if refusal.cause == Cause::NotRedirected {
        let why = "this listener takes only connections that are redirected to it, and this one was made to it".to_owned();
        return Kind { title: "Not a proxy", why, advice: NO_PROXY, ..own };
    }
    own
}

fn unknown_agent(refusal: &Refusal) -> Kind {
    if refusal.front == Front::Transparent {
        return Kind {
            status: StatusCode::FORBIDDEN,
            proxy_error: "http_request_denied",
            title: "Not identified",
            why: "nobody is known by where this connection comes from".to_owned(),
            advice: NOBODY,
            retry_after: None,
        };
    }
    let offered = refusal.cause == Cause::Unidentified { offered: true };
    let why = if offered {
        "the proxy credentials sent prove no agent here"
    } else {
        "no proxy credentials were sent, and this listener needs them"
    };
    Kind {
        status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        proxy_error: "http_request_denied",
        title: "Not identified",
        why: why.to_owned(),
        advice: "Use the whole proxy URL you were given, with its name and token, in HTTPS_PROXY and HTTP_PROXY. \
            A token that is wrong is refused even where none would be needed.",
        retry_after: None,
    }
}

fn malformed(refusal: &Refusal) -> Kind {
    let why =
        if let Cause::Malformed(malformed) = refusal.cause { malformed.to_string() } else { "the request could not be read".to_owned() };
    let too_long = refusal.cause == Cause::Malformed(Malformed::HeadTooLong);
    let status = if too_long { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE } else { StatusCode::BAD_REQUEST };
    Kind { status, proxy_error: "http_request_error", title: "Malformed", why, advice: TARGET, retry_after: None }
}

fn overloaded(refusal: &Refusal, agent: &str) -> Kind {
    let limit = if let Cause::Limit(limit) = refusal.cause { limit } else { "a limit" };
    Kind {
        status: StatusCode::SERVICE_UNAVAILABLE,
        proxy_error: "connection_limit_reached",
        title: "Too much at once",
        why: format!("{agent} has reached {limit}"),
        advice: "Wait for what is open or pending to end; more attempts at once make it worse.",
        retry_after: Some(5),
    }
}

fn way_out(refusal: &Refusal, host: &str) -> Kind {
    let fault = if let Cause::Network(fault) = refusal.cause { fault } else { NetworkFault::Broken };
    let (status, proxy_error, title, what) = match fault {
        NetworkFault::NoAddress => (StatusCode::BAD_GATEWAY, "dns_error", "No such name", "has no address in DNS; check its spelling"),
        NetworkFault::DnsFailed => (StatusCode::BAD_GATEWAY, "dns_error", "DNS failed", "could not be looked up, the name servers failed"),
        NetworkFault::DnsTimeout => (StatusCode::GATEWAY_TIMEOUT, "dns_timeout", "DNS timed out", "could not be looked up in time"),
        NetworkFault::Refused => (StatusCode::BAD_GATEWAY, "connection_refused", "Connection refused", "did not accept the connection"),
        NetworkFault::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, "connection_timeout", "Timed out", "did not answer in time"),
        NetworkFault::Broken | NetworkFault::NoDescriptor => {
            (StatusCode::BAD_GATEWAY, "connection_terminated", "Connection broken", "broke the connection before its answer")
        }
        NetworkFault::BadAnswer => {
            (StatusCode::BAD_GATEWAY, "http_protocol_error", "Bad answer", "gave an answer that cannot be passed on")
        }
    };
    let retry_after = (fault != NetworkFault::NoAddress).then_some(10);
    let advice = if retry_after.is_some() { ORIGIN } else { NO_NAME };
    Kind { status, proxy_error, title, why: format!("{host} {what}"), advice, retry_after }
}

fn certificate(refusal: &Refusal, host: &str) -> Kind {
    let fault = if let Cause::Certificate(fault) = refusal.cause { fault } else { CertificateFault::Unfit };
    let (proxy_error, what) = match fault {
        CertificateFault::Expired => ("tls_certificate_error", "showed a certificate that has expired"),
        CertificateFault::NotYetValid => ("tls_certificate_error", "showed a certificate that is not valid yet"),
        CertificateFault::UnknownIssuer => ("tls_certificate_error", "showed a certificate whose issuer is not trusted"),
        CertificateFault::WrongName => ("tls_certificate_error", "showed a certificate for other names"),
        CertificateFault::Revoked => ("tls_certificate_error", "showed a certificate that was revoked"),
        CertificateFault::SelfSigned => {
            ("tls_certificate_error", "showed a certificate that is self-signed, or an authority's own, and not made for a server")
        }
        CertificateFault::Unfit => ("tls_certificate_error", "showed a certificate that is not fit for a server"),
        CertificateFault::Refused => ("tls_protocol_error", "broke off the TLS handshake"),
        CertificateFault::NotTls => ("tls_protocol_error", "does not speak TLS"),
    };
    let advice = match fault {
        CertificateFault::UnknownIssuer => PRIVATE_ISSUER,
        CertificateFault::SelfSigned => SELF_SIGNED,
        CertificateFault::Expired
        | CertificateFault::NotYetValid
        | CertificateFault::WrongName
        | CertificateFault::Revoked
        | CertificateFault::Unfit
        | CertificateFault::Refused
        | CertificateFault::NotTls => UNSAFE,
    };
    let (status, title) = (StatusCode::BAD_GATEWAY, "Not to be trusted");
    Kind { status, proxy_error, title, why: format!("{host} {what}"), advice, retry_after: None }
}

/// An address as refusals and records print it.
pub fn address(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// ASCII, and cut where a reason phrase would grow too long.
fn shortened(sentence: &str) -> String {
    let ascii: String = sentence.chars().map(|letter| if letter.is_ascii() && !letter.is_ascii_control() { letter } else { '?' }).collect();
    if ascii.len() <= LONGEST_SENTENCE { ascii } else { format!("{}...", &ascii[..LONGEST_SENTENCE - 3]) }
}
