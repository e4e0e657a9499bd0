mod guard;

use proptest::prelude::*;

use super::*;
use crate::policy::destination::Port;
use crate::policy::host::Host;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addresses(entries: &[&str]) -> Addresses {
    let mut addresses = Addresses::none();
    entries.iter().for_each(|entry| addresses.add(entry).unwrap());
    addresses
}

fn kind(address: &str) -> &'static str {
    match AddressClass::of(ip(address)) {
        AddressClass::Public => "public",
        AddressClass::Metadata(_) => "metadata",
        AddressClass::Special(_) => "special",
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn addresses_that_are_not_globally_reachable_are_special() {
    let rows = [
        ("063", "10.0.0.0"),
        ("063", "10.255.255.255"),
        ("063", "172.16.0.0"),
        ("063", "172.31.255.255"),
        ("063", "192.168.0.0"),
        ("063", "192.168.255.255"),
        ("064", "100.64.0.1"),
        ("064", "100.127.255.254"),
        ("068", "192.0.0.1"),
        ("068", "192.0.0.9"),
        ("068", "192.0.2.1"),
        ("068", "198.51.100.1"),
        ("068", "203.0.113.255"),
        ("068", "198.18.0.1"),
        ("068", "198.19.255.255"),
        ("068", "192.88.99.1"),
        ("068", "240.0.0.1"),
        ("068", "255.255.255.255"),
        ("068", "224.0.0.1"),
        ("068", "239.1.1.1"),
        ("068", "0.0.0.0"),
        ("068", "0.1.2.3"),
        ("057", "127.0.0.1"),
        ("057", "127.255.255.254"),
        ("069", "::1"),
        ("069", "::"),
        ("070", "::ffff:127.0.0.1"),
        ("070", "::ffff:0.0.0.0"),
        ("087", "::ffff:10.0.0.1"),
        ("071", "::127.0.0.1"),
        ("071", "::a00:1"),
        ("071", "::2"),
        ("072", "::ffff:0:7f00:1"),
        ("073", "64:ff9b::7f00:1"),
        ("087", "64:ff9b::a00:1"),
        ("074", "64:ff9b:1::a00:1"),
        ("074", "64:ff9b:1::808:808"),
        ("074", "2001:db8:64::808:808"),
        ("075", "2002:7f00:1::"),
        ("075", "2002:a00:1::8.8.8.8"),
        ("076", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        ("076", "2001:0:7f00:1:0:0:f7f7:f7f7"),
        ("076", "2001:0:808:808:0:0:80ff:fffe"),
        ("077", "2001:db8::5efe:7f00:1"),
        ("077", "2607:f8b0::5efe:10.0.0.1"),
        ("077", "2607:f8b0::200:5efe:10.0.0.1"),
        ("077", "fd00::5efe:8.8.8.8"),
        ("078", "fc00::1"),
        ("078", "fdff::1"),
        ("078", "fec0::1"),
        ("078", "fe80::1"),
        ("078", "febf::1"),
        ("078", "ff02::1"),
        ("078", "ff0e::1"),
        ("078", "100::1"),
        ("078", "100:0:0:1::1"),
        ("078", "2001:db8::1"),
        ("078", "3fff::1"),
        ("078", "3fff:fff::1"),
        ("078", "5f00::1"),
        ("078", "2001:20::1"),
        ("078", "2001:10::1"),
        ("078", "2001:2::1"),
        ("078", "2001:1::1"),
        ("078", "2001:30::1"),
        ("rest", "4000::1"),
        ("rest", "1fff::1"),
        ("rest", "100:0:0:2::1"),
        ("rest", "fe00::1"),
        ("rest", "64:ff9b:2::1"),
        ("rest", "::1:0:0:1"),
    ];
    for (row, address) in rows {
        assert_eq!(kind(address), "special", "{row}: {address}");
    }
}

#[test]
fn metadata_services_are_told_from_all_else() {
    let rows = [
        ("065", "169.254.169.254"),
        ("065", "169.254.170.2"),
        ("065", "169.254.170.23"),
        ("065", "169.254.0.1"),
        ("066", "fd00:ec2::254"),
        ("066", "fd00:ec2::23"),
        ("066", "fe80::a9fe:a9fe"),
        ("066", "fd20:ce::254"),
        ("066", "fd00:42::42"),
        ("067", "100.100.100.200"),
        ("067", "192.0.0.192"),
        ("067", "168.63.129.16"),
        ("070", "::ffff:a9fe:a9fe"),
        ("071", "::a9fe:a9fe"),
        ("072", "::ffff:0:a9fe:a9fe"),
        ("073", "64:ff9b::a9fe:a9fe"),
        ("073", "64:ff9b::168.63.129.16"),
        ("074", "64:ff9b:1::a9fe:a9fe"),
        ("074", "64:ff9b:1:a9fe:a9:fe00::"),
        ("075", "2002:a9fe:a9fe::"),
        ("076", "2001:0:808:808:0:0:5601:5601"),
        ("076", "2001:0:a9fe:a9fe:0:0:f7f7:f7f7"),
        ("077", "2607:f8b0::5efe:a9fe:a9fe"),
    ];
    for (row, address) in rows {
        assert_eq!(kind(address), "metadata", "{row}: {address}");
    }
}

#[test]
fn the_neighbours_of_special_blocks_are_public() {
    let rows = [
        ("063", "9.255.255.255"),
        ("063", "11.0.0.0"),
        ("063", "172.15.255.255"),
        ("063", "172.32.0.0"),
        ("063", "192.167.255.255"),
        ("063", "192.169.0.0"),
        ("064", "100.63.255.254"),
        ("064", "100.128.0.1"),
        ("065", "169.253.255.255"),
        ("065", "169.255.0.0"),
        ("067", "168.63.129.17"),
        ("068", "192.0.1.1"),
        ("068", "192.0.3.0"),
        ("068", "198.17.255.255"),
        ("068", "198.20.0.0"),
        ("068", "223.255.255.255"),
        ("068", "192.88.98.1"),
        ("068", "192.31.196.1"),
        ("073", "64:ff9b::808:808"),
        ("070", "::ffff:8.8.8.8"),
        ("071", "::8.8.8.8"),
        ("072", "::ffff:0:808:808"),
        ("075", "2002:808:808::1"),
        ("076", "2001:0:808:808:0:0:f7f7:f7f7"),
        ("077", "2607:f8b0::5efe:8.8.8.8"),
        ("078", "2001:200::1"),
        ("078", "2001:db9::1"),
        ("078", "2001:4860:4860::8888"),
        ("078", "2606:4700::1111"),
        ("078", "2620:4f:8000::1"),
        ("078", "3ffe::1"),
        ("078", "3fff:1000::1"),
        ("078", "2000::"),
    ];
    for (row, address) in rows {
        assert_eq!(kind(address), "public", "{row}: {address}");
    }
}

#[test]
fn the_class_names_its_block() {
    assert_eq!(AddressClass::of(ip("10.1.2.3")), AddressClass::Special("private use, RFC 1918"));
    assert_eq!(AddressClass::of(ip("64:ff9b::7f00:1")), AddressClass::Special("loopback, RFC 1122"));
    assert_eq!(AddressClass::of(ip("168.63.129.16")), AddressClass::Metadata("Azure wire server"));
}

#[test]
fn public_allows_what_is_globally_reachable_and_nothing_else() {
    let public = Addresses::public();
    for address in ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"] {
        assert!(public.allows(ip(address)), "{address}");
    }
    for address in ["10.0.0.1", "::1", "64:ff9b::7f00:1", "::ffff:10.0.0.1", "169.254.169.254", "168.63.129.16", "0.0.0.0"] {
        assert!(!public.allows(ip(address)), "{address}");
    }
}

#[test]
fn a_network_allows_what_lies_in_it_also_by_another_spelling() {
    let ten = addresses(&["10.20.0.0/16"]);
    for address in ["10.20.0.1", "::ffff:10.20.0.1", "64:ff9b::10.20.0.1", "2002:a14:1::"] {
        assert!(ten.allows(ip(address)), "{address}");
    }
    for address in ["10.21.0.1", "8.8.8.8", "64:ff9b::10.21.0.1", "::1", "2607:f8b0::5efe:10.20.0.1"] {
        assert!(!ten.allows(ip(address)), "{address}");
    }
    assert!(addresses(&["::1"]).allows(ip("::1")));
    assert!(addresses(&["fd12::/32"]).allows(ip("fd12::1")));
    assert!(addresses(&["10.20.0.0/16", "public"]).allows(ip("2607:f8b0::5efe:10.20.0.1")));
    assert_eq!(addresses(&["::ffff:10.0.0.0/104"]), addresses(&["10.0.0.0/8"]));
}

#[test]
fn naming_a_translation_prefix_opens_nothing_behind_it() {
    let prefixes = addresses(&["64:ff9b::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48"]);
    for address in ["64:ff9b::a00:1", "64:ff9b::808:808", "2002:a00:1::", "2001:0:808:808:0:0:f7f7:f7f7", "64:ff9b:1::a00:1"] {
        assert!(!prefixes.allows(ip(address)), "{address}");
    }
    let local_nat64 = addresses(&["64:ff9b:1::/48", "10.0.0.0/8"]);
    assert!(local_nat64.allows(ip("64:ff9b:1::a00:1")));
    assert!(local_nat64.allows(ip("64:ff9b:1:a00:0:100::")));
    assert!(!local_nat64.allows(ip("64:ff9b:1::7f00:1")));
}

#[test]
fn metadata_is_never_allowed_even_where_a_network_lists_it() {
    let wide = addresses(&["0.0.0.0/0", "::/0", "public"]);
    assert!(wide.allows(ip("10.0.0.1")) && wide.allows(ip("fe80::1")));
    for address in ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "168.63.129.16"] {
        assert!(!wide.allows(ip(address)), "{address}");
    }
    assert_eq!(Addresses::parse_entry("169.254.169.254"), Err(AddressesFault::Metadata));
}

#[test]
fn an_entry_is_public_an_address_or_a_network() {
    assert_eq!(Addresses::parse_entry("10.0.0.1").map(|network| network.to_string()), Ok("10.0.0.1/32".to_owned()));
    let rows = [
        ("10.0.0.1/8", AddressesFault::HostBits),
        ("fd12::1/32", AddressesFault::HostBits),
        ("", AddressesFault::Unreadable),
        ("private", AddressesFault::Unreadable),
        ("10.0.0.0/33", AddressesFault::Unreadable),
        ("010.0.0.1", AddressesFault::Unreadable),
        ("::ffff:0:0/95", AddressesFault::HostBits),
    ];
    for (entry, wanted) in rows {
        assert_eq!(Addresses::parse_entry(entry), Err(wanted), "{entry}");
    }
}

#[test]
fn a_network_could_be_held_where_one_of_its_addresses_may_be_dialled() {
    let rows = [
        (
            "public",
            "8.8.8.0/24 8.0.0.0/5 10.0.0.0/7 2001:4860::/32 2600::/12 64:ff9b::808:0/112 2002::/16 2001::/32 64:ff9b::/64 ::808:0/112",
        ),
        (
            "public",
            "!10.0.0.0/8 !10.20.0.0/16 !224.0.0.0/3 !240.0.0.0/5 !169.254.0.0/16 !fd00::/8 !fe80::/10 !ff00::/8 !4000::/3 !2001:db8::/48",
        ),
        ("public", "!64:ff9b::a00:0/104 !::a00:0/104 !::ffff:0:a00:0/120 !::/127 !64:ff9b::a9fe:0/112"),
        ("10.20.0.0/16", "10.20.0.0/16 10.0.0.0/8 10.20.30.0/24 64:ff9b::a14:0/112 64:ff9b::/96 2002:a14::/32 64:ff9b:1::/48"),
        ("10.20.0.0/16", "!10.21.0.0/16 !8.8.8.0/24 !64:ff9b::a15:0/112 !64:ff9b::808:0/112 !2001:4860::/32 !fd00::/8"),
        ("fd12::/32", "fd12::/32 fd12:0:1::/48 fd00::/8 !fd13::/32 !10.0.0.0/8 !64:ff9b::/96 !2002::/16"),
        ("::1", "::/127 !::2/127 !127.0.0.0/8"),
        ("169.254.0.0/16", "!169.254.0.0/16 !169.254.169.0/24 !64:ff9b::a9fe:0/112 168.0.0.0/5"),
    ];
    for (entry, networks) in rows {
        let listed = addresses(&[entry]);
        for word in networks.split(' ') {
            let (text, wanted) = word.strip_prefix('!').map_or((word, true), |text| (text, false));
            assert_eq!(listed.could_hold(&text.parse().unwrap()), wanted, "{entry} and {text}");
        }
    }
}

#[test]
fn private_space_of_more_than_one_site_is_wide() {
    for network in [
        "10.0.0.0/8",
        "10.0.0.0/15",
        "172.16.0.0/12",
        "100.64.0.0/10",
        "0.0.0.0/0",
        "8.0.0.0/6",
        "::/0",
        "fd00::/8",
        "fd12::/47",
        "fc00::/6",
    ] {
        assert!(wide_private(&network.parse().unwrap()), "{network}");
    }
    for network in
        ["10.0.0.0/16", "10.20.30.0/24", "192.168.0.0/16", "192.128.0.0/9", "8.0.0.0/7", "11.0.0.0/8", "169.254.0.0/16", "10.0.0.7/32"]
    {
        assert!(!wide_private(&network.parse().unwrap()), "{network}");
    }
    for network in ["fd12:3456:789a::/48", "fd12::/64", "2600::/12", "2001:4860::/32", "64:ff9b::/96", "2002::/16"] {
        assert!(!wide_private(&network.parse().unwrap()), "{network}");
    }
}

/// An address of every kind, and few bits that differ behind it.
fn some_address() -> impl Strategy<Value = IpAddr> {
    let heads = [
        "8.8.0.0",
        "10.20.0.0",
        "169.254.0.0",
        "192.168.0.0",
        "223.255.0.0",
        "2001:4860::",
        "fd12::",
        "::",
        "64:ff9b::",
        "64:ff9b:1::",
        "2002:a14::",
        "2001::",
        "2607:f8b0::5efe:a14:0",
        "fe80::",
        "2001:db8::",
    ];
    (prop::sample::select(heads.to_vec()), any::<u16>(), any::<bool>()).prop_map(|(head, low, ten)| match ip(head) {
        IpAddr::V4(head) => IpAddr::V4((u32::from(head) | u32::from(low)).into()),
        IpAddr::V6(head) => IpAddr::V6((u128::from(head) | if ten { 0x0a14_0000 } else { 0 } | u128::from(low)).into()),
    })
}

proptest! {
    #[test]
    fn no_network_is_refused_that_holds_an_address_to_dial(
        entries in prop::collection::vec((some_address(), 0_u8..=128), 0..3),
        public in any::<bool>(),
        address in some_address(),
        length in 0_u8..=128,
    ) {
        let network = |address: IpAddr, length: u8| IpNet::new(address, if address.is_ipv4() { length % 33 } else { length }).unwrap().trunc();
        let networks = entries.into_iter().map(|(address, length)| network(address, length)).collect();
        let listed = Addresses { public, networks };
        let asked = network(address, length);
        prop_assert!(!listed.allows(address) || listed.could_hold(&asked), "{:?} allows {} of {}", listed, address, asked);
    }

    #[test]
    fn of_ipv4_none_is_accepted_that_holds_no_address_to_dial(
        head in prop::sample::select(vec!["8.8.8.0", "9.255.255.0", "10.20.30.0", "126.255.255.0", "169.253.255.0", "172.15.255.0", "223.255.255.0"]),
        last in any::<u8>(),
        length in 22_u8..=31,
        entry in prop::sample::select(vec!["public", "10.20.30.128/25", "126.255.255.255", "172.16.0.0/12"]),
    ) {
        let IpAddr::V4(head) = ip(head) else { unreachable!() };
        let asked = Ipv4Net::new((u32::from(head) | u32::from(last)).into(), length).unwrap().trunc();
        let every = (u32::from(asked.network())..=u32::from(asked.broadcast())).map(|bits| IpAddr::V4(bits.into()));
        let listed = addresses(&[entry]);
        prop_assert_eq!(listed.could_hold(&IpNet::V4(asked)), every.into_iter().any(|address| listed.allows(address)), "{}", asked);
    }
}
