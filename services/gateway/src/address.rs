//! Where a client is: its address behind proxies, and the part of it that limits count.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Addresses of one header that are looked at; a chain of proxies has a handful.
const MAX_HOPS: usize = 32;

/// What limits count by: an IPv4 address, or the /64 of an IPv6 one, which is the least that a
/// provider hands out to one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(IpAddr);

impl Place {
    /// The place of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// Proxies whose word on where a request comes from is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<(IpAddr, u8)>);

impl Proxies {
    /// Reads a comma list of addresses and networks: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`.
    ///
    /// # Errors
    /// For an entry that is neither.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let entries = raw.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                network(entry).ok_or_else(|| format!("holds {entry:?}, which is no network such as 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        })
    }

    /// Where a request comes from: the peer, or, where that is a proxy of ours, whom it says it
    /// speaks for. Each proxy adds the address it was called from at the right, so the right-most
    /// one that is no proxy of ours is the client; what stands to its left anyone can write. From
    /// an entry that is no address on, nothing is believed.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.hold(peer) {
            return peer;
        }
        let mut client = peer;
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let hops = lines
            .into_iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            match address(hop.trim()) {
                Some(address) => client = address,
                None => break,
            }
            if !self.hold(client) {
                break;
            }
        }
        client
    }
}

fn network(entry: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
        None => (entry.parse().ok()?, None),
    };
    let most = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

/// An address as proxies write it: bare, with a port, in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port)
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::parse("10.0.0.0/8, fd00::/8,192.0.2.7").expect("networks");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                FORWARDED_FOR,
                http::HeaderValue::from_bytes(line.as_bytes()).expect("a header value"),
            );
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed() {
        assert_eq!(client("198.51.100.1", &["203.0.113.9"]), "198.51.100.1");
        assert_eq!(client("10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.1.2.3", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client("fd00::1", &["[2001:db8::5]:4711"]), "2001:db8::5");
        assert_eq!(client("192.0.2.8", &["203.0.113.9"]), "192.0.2.8");
    }

    #[test]
    fn the_right_most_that_is_no_proxy_is_the_client() {
        assert_eq!(client("10.1.2.3", &["1.1.1.1, 203.0.113.9, 10.9.9.9"]), "203.0.113.9");
        assert_eq!(
            client("10.1.2.3", &["1.1.1.1", "203.0.113.9", "192.0.2.7, 10.9.9.9"]),
            "203.0.113.9"
        );
        assert_eq!(
            client("10.1.2.3", &["10.0.0.1, 10.0.0.2"]),
            "10.0.0.1",
            "one of our own"
        );
    }

    #[test]
    fn what_is_no_address_ends_the_trail() {
        for line in [
            "",
            "unknown",
            "203.0.113.9, nonsense",
            "203.0.113.9, ",
            "1.1.1.1\u{e9}",
            "999.1.1.1",
        ] {
            assert_eq!(client("10.1.2.3", &[line]), "10.1.2.3", "{line:?}");
        }
        assert_eq!(client("10.1.2.3", &["203.0.113.9, x, 10.0.0.4"]), "10.0.0.4");
        assert_eq!(client("10.1.2.3", &[&"10.0.0.1,".repeat(500)]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn networks_are_read_and_others_refused() {
        for good in ["0.0.0.0/0", "::/0", "::1", "10.1.2.3/32", ""] {
            assert!(Proxies::parse(good).is_ok(), "{good}");
        }
        assert!(Proxies::parse("0.0.0.0/0").is_ok_and(|all| all.hold(IpAddr::from([9, 9, 9, 9]))));
        for bad in [
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "proxy.example",
            "10.0.0.0/8/8",
            "10.0.0.0/-1",
        ] {
            assert!(Proxies::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_place() {
        let place = |address: &str| Place::of(address.parse().expect("an address"));
        assert_eq!(place("2001:db8:1:2::3"), place("2001:db8:1:2:ffff::9"));
        assert_ne!(place("2001:db8:1:2::3"), place("2001:db8:1:3::3"));
        assert_eq!(place("::ffff:192.0.2.1"), place("192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
        assert_eq!(place("2001:db8:1:2::3").to_string(), "2001:db8:1:2::/64");
    }
}
