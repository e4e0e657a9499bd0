//! What is never dialled, and the one order in which an address is judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::carried::Reading;
use super::{AddressClass, AddressRefusal, Addresses, Guard, touches};
use crate::policy::destination::Port;
use crate::policy::host::Host;

impl Guard {
    /// Whether address and port are exeat itself, also by an IPv4 address the address carries.
    pub fn own(&self, address: IpAddr, port: Port) -> bool {
        Reading::of(address).every().any(|address| self.listens(address, port) || self.known(address))
    }

    /// Judges one address that is about to be dialled: metadata, exeat itself, `never`, then what the rule may resolve to.
    pub fn judge(&self, address: IpAddr, port: Port, addresses: &Addresses) -> Result<(), AddressRefusal> {
        let class = AddressClass::of(address);
        if let AddressClass::Metadata(name) = class {
            return Err(AddressRefusal::Metadata(name));
        }
        if self.own(address, port) {
            return Err(AddressRefusal::Own);
        }
        if self.never.iter().any(|network| touches(network, address)) {
            return Err(AddressRefusal::Never);
        }
        if addresses.allows(address) { Ok(()) } else { Err(AddressRefusal::Outside(class)) }
    }

    fn listens(&self, address: IpAddr, port: Port) -> bool {
        self.own.iter().filter(|own| own.port() == port.number()).any(|own| self.reaches(address, own))
    }

    /// Whether a packet to the address arrives at the listener. The kernel takes an unspecified target for loopback.
    fn reaches(&self, target: IpAddr, own: &SocketAddr) -> bool {
        let listener = own.ip().to_canonical();
        if listener.is_unspecified() {
            return loops(target) || self.machine.iter().any(|machine| machine.to_canonical() == target);
        }
        target == listener || target.is_unspecified() && loops(listener)
    }

    fn known(&self, target: IpAddr) -> bool {
        self.known_as.iter().any(|known| match known {
            Host::Address(address) => address.to_canonical() == target,
            Host::Name(_) => false,
        })
    }
}

fn loops(address: IpAddr) -> bool {
    address.is_loopback() || address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || address == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}
