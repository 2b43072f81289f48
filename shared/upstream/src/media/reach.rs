//! Which addresses a caller may have us ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a caller may have us ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Those that everybody can reach.
    #[default]
    Public,
    /// Those of private networks and of this machine as well. Services of a cloud's own, which give its keys away, never.
    Private,
}

/// Clouds' own services at addresses that look public: Azure's.
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
/// The same in a shared network: Alibaba's.
const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// The same in a private one: AWS' for the newer protocol.
const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Reach {
    /// Whether an address may be asked.
    #[must_use]
    pub fn takes(self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.takes_v4(ip),
            IpAddr::V6(ip) => self.takes_v6(ip),
        }
    }

    /// Whether a name may be looked up.
    #[must_use]
    pub fn takes_name(self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let ends = |ending: &str| name == ending || name.strip_suffix(ending).is_some_and(|front| front.ends_with('.'));
        let is_metadata = ends("metadata.google.internal") || name == "metadata" || name == "instance-data";
        let is_private = ["localhost", "local", "internal", "intranet", "lan", "home.arpa"].into_iter().any(ends);
        !is_metadata && !name.is_empty() && (self == Self::Private || !is_private)
    }

    fn takes_v4(self, ip: Ipv4Addr) -> bool {
        let [first, second, third, _] = ip.octets();
        let is_never = ip.is_unspecified()
            || ip.is_link_local()
            || ip.is_multicast()
            || ip.is_broadcast()
            || ip.is_documentation()
            || ip == AZURE
            || ip == ALIBABA
            // "this network", protocol assignments, benchmarks, reserved
            || first == 0
            || (first, second, third) == (192, 0, 0)
            || (first == 198 && matches!(second, 18 | 19))
            || first >= 240;
        let is_private = ip.is_private() || ip.is_loopback() || (first == 100 && (64..128).contains(&second));
        !is_never && (self == Self::Private || !is_private)
    }

    fn takes_v6(self, ip: Ipv6Addr) -> bool {
        // an address of the older protocol inside one of the newer leads where that one leads
        if let Some(inner) = inner_v4(ip) {
            return self.takes_v4(inner);
        }
        let [first, second, ..] = ip.segments();
        let is_never = ip.is_unspecified()
            || ip.is_multicast()
            || ip == AWS
            || first & 0xffc0 == 0xfe80
            || first & 0xffc0 == 0xfec0
            // documentation, tunnels, benchmarks, prefixes of local translators
            || (first == 0x2001 && second < 0x200)
            || (first, second) == (0x2001, 0xdb8)
            || first == 0x3fff
            || first == 0x100
            || (first, second) == (0x64, 0xff9b);
        let is_private = ip.is_loopback() || first & 0xfe00 == 0xfc00;
        !is_never && (self == Self::Private || !is_private)
    }
}

/// The address of the older protocol that one of the newer holds: mapped, compatible, translated (`64:ff9b::/96`) or tunnelled (`2002::/16`).
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = ip.segments();
    let joined = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(joined(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reaches_is_public() {
        for ip in ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(Reach::Public.takes(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fc00::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(!Reach::Public.takes(ip.parse().unwrap()), "{ip}");
            assert!(Reach::Private.takes(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn services_of_clouds_are_never_reached() {
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "240.0.0.1",
            "198.18.0.1",
            "192.0.0.192",
            "2001::1",
            "fec0::1",
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert!(!Reach::Public.takes(ip) && !Reach::Private.takes(ip), "{ip}");
        }
    }

    #[test]
    fn names_of_this_machine_and_of_clouds_are_not_looked_up() {
        for name in ["example.com", "localhost.example.com", "mylocal", "a.internal.example"] {
            assert!(Reach::Public.takes_name(name), "{name}");
        }
        for name in ["localhost", "LOCALHOST.", "a.localhost", "db.internal", "printer.local", ""] {
            assert!(!Reach::Public.takes_name(name), "{name}");
        }
        assert!(Reach::Private.takes_name("db.internal"));
        assert!(!Reach::Private.takes_name("metadata.google.internal") && !Reach::Private.takes_name("metadata"));
    }
}
