//! The address of a client behind trusted proxies, and the part of an address by which requests are counted.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The bits of an IPv6 address that name a customer, who may vary the rest, 2^64 times.
const IPV6_BITS: u32 = 64;

/// The key by which requests from this address are counted: an IPv4 address whole (also where it comes as an IPv6 one), an IPv6
/// address by its first 64 bits.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> IPV6_BITS << IPV6_BITS;
            format!("{}/{IPV6_BITS}", std::net::Ipv6Addr::from_bits(network))
        }
    }
}

/// The address of the client, from that of the peer and the values of all `X-Forwarded-For` fields, in their order.
///
/// The header counts only if the peer is a trusted proxy. It is read from the right, since each proxy appends the peer that it
/// saw. Trusted addresses are skipped, and the first other one is the client; the client itself may have written whatever stands
/// left of it. At a member that is not an address the reading ends, and the last address read is the answer.
pub fn client_address<'a>(peer: IpAddr, forwarded_for: impl Iterator<Item = &'a str>, trusted: &[IpNet]) -> IpAddr {
    let mut last = peer.to_canonical();
    if !is_trusted(last, trusted) {
        return last;
    }
    let fields: Vec<&str> = forwarded_for.collect();
    // Several fields are one list, and empty members of a list do not count.
    let members = fields.iter().rev().flat_map(|field| field.rsplit(',')).map(str::trim).filter(|m| !m.is_empty());
    for member in members {
        let Some(address) = parse(member) else { break };
        last = address;
        if !is_trusted(last, trusted) {
            break;
        }
    }
    last
}

/// True if a proxy at this address is believed.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Reads an address, with or without a port; an IPv6 address may stand in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
    }

    #[test]
    fn keys_are_whole_ipv4_addresses_and_halves_of_ipv6_ones() {
        assert_eq!(address_key(ip("203.0.113.7")), "203.0.113.7");
        assert_eq!(address_key(ip("::ffff:203.0.113.7")), "203.0.113.7");
        assert_eq!(address_key(ip("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
        assert_eq!(address_key(ip("2001:db8:1:2::9")), "2001:db8:1:2::/64");
        assert_ne!(address_key(ip("2001:db8:1:3::9")), "2001:db8:1:2::/64");
        assert_eq!(address_key(ip("::1")), "::/64");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"].iter().filter_map(|n| n.parse().ok()).collect();
        let cases: &[(&str, &[&str], &str)] = &[
            // The peer is not trusted, whatever it says.
            ("203.0.113.1", &["198.51.100.1"], "203.0.113.1"),
            ("203.0.113.1", &[], "203.0.113.1"),
            // It is, and says nothing, or says who.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["2001:4860::1"], "2001:4860::1"),
            // What the client has written stands left of what the proxy saw.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2 ,10.0.0.3"], "198.51.100.1"),
            // All are trusted: the first of them.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Several fields are one list.
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            // Garbage ends the walk.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, what?, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1, 1.2.3, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            // Ports, brackets, empty members.
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:4860::1]:4711"], "2001:4860::1"),
            ("10.0.0.1", &["[2001:4860::1]"], "2001:4860::1"),
            ("10.0.0.1", &["2001:4860::1"], "2001:4860::1"),
            ("10.0.0.1", &["198.51.100.1,, ,"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:99999"], "10.0.0.1"),
        ];
        for (peer, fields, client) in cases {
            let found = client_address(ip(peer), fields.iter().copied(), &trusted);
            assert_eq!(found, ip(client), "{peer} {fields:?}");
        }
        assert_eq!(client_address(ip("10.0.0.1"), ["1.1.1.1"].into_iter(), &[]), ip("10.0.0.1"));
    }
}
