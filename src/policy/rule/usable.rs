//! What a rule's addresses say, and hosts that a rule can never open.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Effect;
use crate::policy::address::{AddressClass, Addresses, AddressesFault, readings, wide_private};
use crate::policy::document::Item;
use crate::policy::fault::{code, host_shown};
use crate::policy::host::Host;
use crate::policy::pattern::HostPattern;
use crate::policy::special::{Special, special};

/// Reads `addresses`.
pub(in crate::policy) fn addresses(item: Item<'_>) -> Addresses {
    let mut addresses = Addresses::none();
    for entry in item.filled_list(r#""public" or a network"#) {
        let Some(text) = entry.text() else { continue };
        match addresses.add(text) {
            Ok(()) => {
                let added = addresses.networks.last().filter(|network| text != "public" && wide_private(network));
                if let Some(network) = added {
                    entry.warn(
                        code::WIDE_PRIVATE,
                        format!("{network} is more private space than one site has: name the networks that are meant"),
                    );
                }
            }
            Err(why) => entry.wrong(r#""public" or a network"#, &fix_of_network(text, why)),
        }
    }
    addresses
}

/// What to write in place of an entry of `addresses`.
pub(in crate::policy) fn fix_of_network(text: &str, why: AddressesFault) -> String {
    let written = text.parse::<IpNet>().ok().filter(|_| why == AddressesFault::HostBits);
    match (why, written) {
        (AddressesFault::HostBits, Some(network)) if matches!(AddressClass::of(network.addr()), AddressClass::Metadata(_)) => {
            AddressesFault::Metadata.to_string()
        }
        (AddressesFault::HostBits, Some(network)) => format!("write {}, or {} for that address alone", network.trunc(), network.addr()),
        (AddressesFault::HostBits | AddressesFault::Unreadable, _) => "write one such as 10.20.0.0/16 or 10.20.0.7".to_owned(),
        (AddressesFault::Metadata, _) => why.to_string(),
    }
}

/// The networks of an address and of the IPv4 addresses it carries: `addresses` must hold them all.
fn alone(address: IpAddr) -> Vec<String> {
    readings(address).map(|address| IpNet::from(address).to_string()).collect()
}

/// A host that the rule can never open is a fault (found, wanted, fix); one of which only a part is useless is a warning (code, text).
pub(in crate::policy) fn usable(pattern: &HostPattern, effect: &Effect) -> Result<Option<(&'static str, String)>, [String; 3]> {
    let (addresses, spelled) = match effect {
        Effect::Allow(allow) => (Some(&allow.addresses), allow.spelled),
        Effect::Hold { addresses } => (addresses.as_ref(), addresses.is_some()),
        Effect::Block { because: _ } => return Ok(None),
    };
    let said = |found: String, wanted: &str, fix: String| Err([found, wanted.to_owned(), fix]);
    let whole = pattern.to_string();
    let text = host_shown(&whole);
    match pattern.exact() {
        Some(Host::Address(address)) => match AddressClass::of(*address) {
            AddressClass::Metadata(name) => {
                said(format!("{text}, {name}"), "any other address: metadata services are never dialled", "remove it".to_owned())
            }
            AddressClass::Public | AddressClass::Special(_) if addresses.is_some_and(|addresses| !addresses.allows(*address)) => {
                let fix = format!("add addresses = {:?} to the rule", alone(*address));
                said(format!("{text}, which the rule's addresses do not hold"), "addresses that hold it", fix)
            }
            AddressClass::Public | AddressClass::Special(_) => Ok(None),
        },
        Some(Host::Name(name)) => match special(name) {
            Some(Special::Never) => said(format!("{text}, a name no rule opens"), "any other name", "remove it".to_owned()),
            Some(Special::NeedsAddresses) if !spelled => {
                let fix = "add addresses = [\"CIDR\"] with the network it is in".to_owned();
                said(format!("{text}, a name of a local network"), "a rule with addresses", fix)
            }
            Some(Special::NeedsAddresses) | None => Ok(None),
        },
        None if pattern.network().is_some_and(|network| addresses.is_some_and(|addresses| !addresses.could_hold(&network))) => {
            let fix = format!("add addresses = [\"{text}\"] to the rule, or remove the host");
            said(format!("{text}, of which the rule's addresses hold nothing"), "addresses that hold some of it", fix)
        }
        None => {
            let base = Host::parse(whole.trim_start_matches("*").trim_start_matches('.'));
            let zone = base.ok().and_then(|base| match base {
                Host::Name(name) => special(&name),
                Host::Address(_) => None,
            });
            if zone == Some(Special::Never) {
                return said(format!("{text}, names no rule opens"), "any other name", "remove it".to_owned());
            }
            let words =
                format!("{text} lies in a local zone: its names stay refused, only rules that spell a name and have addresses open one");
            Ok(zone.map(|_| (code::SPECIAL_NAME, words)))
        }
    }
}
