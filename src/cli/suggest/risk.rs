//! What speaks against a host, and what makes it none that a rule is suggested for.

use std::net::IpAddr;

use super::known::Known;
use crate::approval::PlaceView;
use crate::cli::recorded::size;
use crate::cli::recorded::tally::{AgentTally, Doubt, HostTally};
use crate::policy::address::{AddressClass, Addresses};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::preset::PresetEffect;
use crate::policy::special::{Special, special};
use crate::policy::suffix;

/// Bytes up that are worth a word.
const UPLOAD: u64 = 10 << 20;

/// Why no rule is suggested, whatever was seen; `None` where one may be.
pub(super) fn never(to: &Destination, seen: &HostTally) -> Option<String> {
    let metadata = |address: &IpAddr| match AddressClass::of(*address) {
        AddressClass::Metadata(what) => Some(what),
        AddressClass::Public | AddressClass::Special(_) => None,
    };
    match &to.host {
        Host::Address(address) => {
            if let Some(what) = metadata(address) {
                return Some(format!("metadata services are never dialled: {what}"));
            }
        }
        Host::Name(name) => match special(name) {
            Some(Special::Never) => return Some("names of this zone are never dialled".to_owned()),
            Some(Special::NeedsAddresses) => {
                return Some(
                    "a special name: what it means depends on where it is asked, so write the rule yourself, with addresses".to_owned(),
                );
            }
            None => {}
        },
    }
    seen.addresses.iter().find_map(metadata).map(|what| format!("it led to a metadata service, which is never dialled: {what}"))
}

/// The addresses it led to that are not public.
pub(super) fn private(to: &Destination, seen: &HostTally) -> Vec<IpAddr> {
    let own = match to.host {
        Host::Address(address) => Some(address),
        Host::Name(_) => None,
    };
    let public = Addresses::public();
    let mut private: Vec<IpAddr> =
        own.into_iter().chain(seen.addresses.iter().copied()).filter(|address| !public.allows(*address)).collect();
    private.sort_unstable();
    private.dedup();
    private
}

/// What keeps a host of a preset from being in force.
pub(super) fn doubts(agent: &AgentTally, seen: &HostTally) -> Vec<String> {
    let of_host = agent.doubts.get(&(seen.host.clone(), seen.port)).map(|doubt| match doubt {
        Doubt::Refused => "a person said no to it, or took a yes back",
        Doubt::Asked => "a hold rule asks for it",
    });
    let looked = (seen.counts.look > 0).then_some("requests to it were judged one by one, and this rule lets all of them pass");
    let unknown = agent.more_doubts.then_some("there were too many questions to tell what was refused");
    [of_host, looked, unknown].into_iter().flatten().map(str::to_owned).collect()
}

/// Every reason to look twice.
pub(super) fn risks(to: &Destination, seen: &HostTally, known: &Known) -> Vec<String> {
    let mut risks = Vec::new();
    match &to.host {
        Host::Address(_) => risks.push("a bare address: nobody knows whose it will be".to_owned()),
        Host::Name(name) => {
            if let Some(zone) = suffix::shared_zone(name) {
                risks.push(format!("shared hosting: {zone} is a place that anyone can rent or send to"));
            } else if let Some(zone) = suffix::private_suffix(name) {
                risks.push(format!("anyone can have a name under {zone}"));
            }
            let view = PlaceView::of(to, None);
            if view.mixed_script {
                risks.push("a label mixes scripts, as look-alike names do".to_owned());
            }
        }
    }
    let private = private(to, seen);
    if !private.is_empty() {
        let named = private.iter().map(|address| match AddressClass::of(*address) {
            AddressClass::Special(what) | AddressClass::Metadata(what) => format!("{address} ({what})"),
            AddressClass::Public => address.to_string(),
        });
        risks.push(format!("inside your own network or machine: {}", named.collect::<Vec<_>>().join(", ")));
    }
    if seen.plain {
        risks.push("plain HTTP: anyone on the way reads and changes it".to_owned());
    }
    if ![80, 443].contains(&seen.port) {
        risks.push(format!("port {} is not one of the web", seen.port));
    }
    if seen.counts.bytes_up >= UPLOAD {
        risks.push(format!("large uploads: {}", size(seen.counts.bytes_up)));
    }
    risks.extend(known.about(to, PresetEffect::Block).map(|preset| format!("preset {} blocks it: {}", preset.name, preset.title)));
    risks
}
