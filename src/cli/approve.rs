//! `exeat approve`: a yes, and exactly what it grants.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::admin_client::{AdminClient, each, segment};
use crate::admin::{Approve, ScopeWord};
use crate::approval::{Answered, PlaceView};
use crate::policy::address::Addresses;
use crate::policy::attempt::{RequestLine, Scheme};
use crate::text::{ascii_json, plain};

/// Answer yes to pending questions.
///
/// A yes covers what was shown and nothing wider: that agent, host, port and kind of request. Without an option it is `--once`.
#[derive(Args, Clone, Debug)]
pub struct ApproveArgs {
    /// Ids of questions, as `exeat holds` shows them.
    #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// The attempts that wait, or if none does the next one within 5 minutes; the default.
    #[arg(long, group = "scope")]
    pub once: bool,
    /// For a while, such as 15m, 1h or 8h; open tunnels are cut at its end.
    #[arg(long = "for", group = "scope", value_name = "DURATION", value_parser = duration, num_args = 0..=1, default_missing_value = "1h")]
    pub lasting: Option<Duration>,
    /// Without end, for the agent on whatever instance, until revoked.
    #[arg(long, group = "scope")]
    pub always: bool,
    /// Why, for the records.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Let the name resolve to this network, in place of what the question was asked under; may be repeated.
    #[arg(long = "address", value_name = "CIDR", value_parser = network)]
    pub addresses: Vec<IpNet>,
    /// Print what was granted as JSON, one line each.
    #[arg(long)]
    pub json: bool,
}

/// Approves, printing what each yes grants.
pub async fn run(args: ApproveArgs, state: &Path, out: &mut impl Write) -> Result<ExitCode> {
    let ApproveArgs { ids, once: _, lasting, always, note, addresses, json } = args;
    let scope = match (lasting, always) {
        (Some(_), _) => ScopeWord::For,
        (None, true) => ScopeWord::Always,
        (None, false) => ScopeWord::Once,
    };
    let seconds = lasting.map(|lasting| lasting.as_secs());
    // Whoever typed --address said it.
    let addresses_confirmed = !addresses.is_empty();
    let addresses = addresses_confirmed.then_some(addresses);
    let body = Approve { scope, seconds, addresses, addresses_confirmed, note, facts: None };
    let client = AdminClient::new(state);
    each(&ids, async |id| {
        let answered: Answered = client.post(&format!("holds/{}/approve", segment(id)), &body).await?;
        if json {
            writeln!(out, "{}", ascii_json(&serde_json::to_string(&answered)?))?
        } else {
            writeln!(out, "{}", granted(&answered))?
        }
        Ok(())
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// What a yes grants, in words.
pub fn granted(answered: &Answered) -> String {
    let Answered { hold, agent, instance, place, answer: _, of, yes_by, approval, scope, until, addresses, released } = answered;
    if let (None, Some(of)) = (approval, of) {
        let (count, names) = (yes_by.len(), yes_by.iter().map(|name| plain(name, 60)).collect::<Vec<_>>().join(", "));
        return format!(
            "{}: {count} of {of} yes ({names}): {agent} may not reach {} until somebody else says yes as well",
            plain(hold, 20),
            shown(place, None)
        );
    }
    let who =
        if scope.as_deref() == Some("always") { format!("{agent}, any instance") } else { format!("{agent} ({})", plain(instance, 60)) };
    let how_long = match (scope.as_deref(), until) {
        (Some("always"), _) => "without end".to_owned(),
        (Some("for"), Some(until)) => format!("until {}", local(*until)),
        (_, Some(until)) => format!("once, the next attempt before {}", local(*until)),
        (_, None) => format!("once, {released} waiting"),
    };
    let to = addresses.iter().map(|address| if address == "public" { "public addresses" } else { address }).collect::<Vec<_>>().join(", ");
    let to = if to.is_empty() { "no address" } else { &to };
    format!("{}: yes: {who} may reach {}, {how_long}, at {to}; {released} released", plain(hold, 20), shown(place, None))
}

/// What an answer covers: one request where that alone is asked about, else never only what was seen of it.
pub(super) fn kind(place: &PlaceView) -> String {
    let scheme = place.scheme.unwrap_or(Scheme::Http).as_str();
    match (&place.only, place.scheme) {
        (Some(RequestLine { method, path }), _) => format!("{scheme}, {} {} only", plain(method, 20), plain(path, 520)),
        (None, Some(_)) => format!("{scheme}, any request"),
        (None, None) => "tunnel, contents not seen".to_owned(),
    }
}

/// A destination as questions and answers name it on a terminal, and the request that asked first.
pub fn shown(place: &PlaceView, first: Option<&RequestLine>) -> String {
    let mut marks = kind(place);
    if let Some(RequestLine { method, path }) = first.filter(|_| place.only.is_none()) {
        marks.push_str(&format!("; first {} {}", plain(method, 20), plain(path, 120)));
    }
    if let Some(unicode) = &place.unicode {
        marks.push_str(&format!(", reads {}", plain(unicode, 253)));
    }
    if let Some(registrable) = place.registrable.as_deref().filter(|part| *part != place.host) {
        marks.push_str(&format!(", under {}", plain(registrable, 253)));
    }
    if place.mixed_script {
        marks.push_str(", MIXED SCRIPTS");
    }
    format!("{} ({marks})", plain(&place.authority(), 270))
}

/// A time for people, to the second.
pub fn local(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{}` is no duration; write 15m, 1h or 2d", plain(text, 40));
    let span: Span = text.parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    match Duration::try_from(length) {
        Ok(length) if length.as_secs() > 0 => Ok(length),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    Addresses::parse_entry(text)
        .map_err(|error| format!("`{}` is no network to grant: {error}; write 10.20.0.0/16 or 10.20.0.7", plain(text, 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let rows = [("90s", Some(90)), ("15m", Some(900)), ("1h", Some(3600)), ("1h30m", Some(5400)), ("2d", Some(172_800))];
        let bad = ["", "1", "0s", "-1h", "h", "1 fortnight", "500ms"].map(|text| (text, None));
        for (text, seconds) in rows.into_iter().chain(bad) {
            assert_eq!(duration(text).ok().map(|length| length.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn a_lone_address_is_a_network_of_itself() {
        assert_eq!(network("10.0.0.7").map(|net| net.to_string()).as_deref(), Ok("10.0.0.7/32"));
        assert!(network("10.0.0.0/33").is_err() && network("public").is_err());
        for (text, words) in [("10.20.0.7/8", "bits set behind its prefix"), ("169.254.169.254", "never dialled")] {
            assert!(network(text).is_err_and(|error| error.contains(words)), "{text}");
        }
    }
}
