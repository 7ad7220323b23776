//! The addresses that webhooks may be sent to: public ones and configured networks. Otherwise anyone who may submit a
//! task could make the server send requests to hosts that only it can reach, such as a cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use journeyman_api::Target;
use journeyman_event::payload::TaskWebhook;
use reqwest::Url;
use thiserror::Error;

/// The non-public networks that webhooks may be sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// Webhooks must not be sent to this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{address} is a private, local or reserved address; --webhook-networks {address} allows webhooks to it"
)]
pub(crate) struct Refused {
    address: IpAddr,
}

impl FromStr for Networks {
    type Err = String;

    /// Parses addresses and networks such as `10.0.0.0/8`, separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim);
        let networks = words.filter(|word| !word.is_empty()).map(|word| {
            let address = word.parse::<IpAddr>().map(IpNet::from);
            let network = address.or_else(|_| word.parse::<IpNet>());
            network.map_err(|_| format!("{word:?} is neither an address nor a network"))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    /// Checks an IP address.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        // ::ffff:127.0.0.1 is 127.0.0.1.
        let address = address.to_canonical();
        let is_allowed = self.0.iter().any(|network| network.contains(&address));
        if is_allowed || is_public(address) {
            return Ok(());
        }
        Err(Refused { address })
    }

    /// Checks a task's webhook without resolving its host. The error says why its address is refused.
    pub fn check_webhook(&self, webhook: &TaskWebhook) -> Result<(), String> {
        match webhook.url.parse() {
            Ok(Target::Url(url)) => self.check_url(&url),
            _ => Ok(()),
        }
    }

    /// Checks a URL whose host is an IP address. URL parsing has already normalized all forms of IPv4 addresses
    /// (`127.1`, `0x7f000001`, `2130706433`).
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(address) = host.parse::<IpAddr>() else {
            return Ok(());
        };
        self.check(address).map_err(|refused| refused.to_string())
    }
}

/// Whether an address is public. Addresses in the IANA special-purpose registries are not, and neither are IPv6
/// addresses that translate to IPv4.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = a == 0 // this network
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local() // where clouds have their metadata services
        || (a == 100 && (64..=127).contains(&b)) // shared by carriers
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99) // relays of 6to4
        || (a == 198 && (18..=19).contains(&b)) // benchmarks
        || address.is_documentation()
        || a >= 224 // multicast, reserved, broadcast
        || address == Ipv4Addr::new(168, 63, 129, 16); // Azure's metadata, public by its number alone
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // All global unicast addresses are in 2000::/3.
    let is_global = a & 0xe000 == 0x2000;
    // Below 0x0200 are those of protocols (Teredo, benchmarks, ORCHID); 0x0db8 is for documentation.
    let is_special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8))
        || a == 0x2002 // 6to4
        || (a == 0x3fff && b < 0x1000); // documentation
    is_global && !is_special
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_taken(networks: &str, url: &str) -> bool {
        let networks: Networks = networks.parse().unwrap();
        networks.check_url(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_are_allowed_in_any_notation() {
        for refused in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0177.0.0.1",
            "2130706433",
            "0",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "[100::1]",
        ] {
            assert!(!is_taken("", &format!("http://{refused}:80/")), "{refused}");
        }
        for taken in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2001:4860:4860::8888]",
            "[::ffff:8.8.8.8]",
            "a.name.whose.addresses.are.checked.when.it.is.looked.up",
        ] {
            assert!(is_taken("", &format!("https://{taken}/")), "{taken}");
        }
    }

    #[test]
    fn networks_and_single_addresses_can_be_allowed() {
        let some = "10.1.0.0/16, 127.0.0.1,fd00::/8";
        assert!(is_taken(some, "http://10.1.2.3/"));
        assert!(!is_taken(some, "http://10.2.0.1/"));
        assert!(is_taken(some, "http://127.0.0.1:8000/"));
        assert!(is_taken(some, "http://[::ffff:127.0.0.1]/"));
        assert!(!is_taken(some, "http://127.0.0.2/"));
        assert!(is_taken(some, "http://[fd12::1]/"));
        assert!(is_taken("0.0.0.0/0,::/0", "http://192.168.0.1/"));
        for bad in ["10.0.0.0/33", "host", "10"] {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<Networks>(), Ok(Networks::default()));
    }
}
