//! How a setting's text becomes a value. Every message completes the sentence "NAME …" and never repeats a secret.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

/// A listening address; `localhost:PORT` means the IPv4 loopback.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| format!("is not an address like 127.0.0.1:8080: {text:?}"))
}

/// A duration such as `500ms`, `15s`, `2m`, `1h` or `30d`: a whole number and a unit, greater than zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("is not a duration like 500ms, 15s, 2m, 1h or 30d: {text:?}");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let millis: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(millis) {
        Some(total) if total > 0 => Ok(Duration::from_millis(total)),
        _ => Err(wrong()),
    }
}

/// A duration between two bounds.
pub(super) fn duration_within(text: &str, low: Duration, high: Duration) -> Result<Duration, String> {
    let value = duration(text)?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("must be between {low:?} and {high:?}: {text:?}"))
    }
}

/// A size in bytes: `1048576`, `64KB`, `256MB`, `1GB`, in powers of 1024; `KiB` and its like mean the same.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("is not a size like 256MB: {text:?}");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" | "KIB" => 1 << 10,
        "MB" | "MIB" => 1 << 20,
        "GB" | "GIB" => 1 << 30,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(total) if total > 0 => Ok(total),
        _ => Err(wrong()),
    }
}

/// A whole number between two bounds.
pub(super) fn count(text: &str, low: usize, high: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("must be a whole number from {low} to {high}: {text:?}")),
    }
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("must be on or off: {text:?}")),
    }
}

/// A comma list; blanks around an item do not matter, an empty item is an error.
pub(super) fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|part| item(part.trim())).collect()
}

/// A network such as `10.0.0.0/8`; a bare address means that address alone.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    net.map_err(|_| format!("is not a network like 10.0.0.0/8: {text:?}"))
}

/// An origin as browsers send it: scheme, host and perhaps a port, nothing after them. The port `*` is any, or none.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = host.strip_suffix(":*").unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if !host.is_empty() && host.chars().all(plain) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("is not an origin like https://example.com: {text:?}"))
    }
}

/// The name of a key, such as `card_number`: at most 64 bytes, and something in it that is not between words.
pub(super) fn key_name(text: &str) -> Result<String, String> {
    if text.len() <= 64 && text.chars().filter(|c| c.is_alphanumeric()).count() >= 2 {
        Ok(text.to_owned())
    } else {
        Err(format!("is not a list of keys like iban,card_number: {text:?}"))
    }
}

/// How many in how long: a rate limit such as `120/m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// One rate limit: a number from 1 to 1,000,000 for each second, minute or hour.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("is not a rate like 120/m: {text:?}");
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    match count.parse() {
        Ok(count @ 1..=1_000_000) => Ok(Rate { count, per: Duration::from_secs(seconds) }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("127.0.0.1:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(address("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(address("[::1]:80").is_ok());
        for wrong in ["", "8080", "localhost", "localhost:x", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in
            [("500ms", 500), ("15s", 15_000), ("2m", 120_000), ("1h", 3_600_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for wrong in ["", "s", "15", "0s", "-1s", "1.5s", "15 s", "15S", "1w", "ms", "18446744073709551615d", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let (low, high) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(duration_within("1s", low, high).is_ok() && duration_within("1m", low, high).is_ok());
        assert_eq!(duration_within("61s", low, high), Err("must be between 1s and 60s: \"61s\"".to_owned()));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("2B", 2), ("64kb", 65_536), ("256MB", 268_435_456), ("1GiB", 1_073_741_824)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for wrong in ["", "MB", "0", "0MB", "-1MB", "1TB", "1 MB", "18446744073709551615GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_and_switches() {
        assert_eq!(count("8", 1, 8), Ok(8));
        for wrong in ["0", "9", "-1", "x", ""] {
            assert!(count(wrong, 1, 8).is_err(), "{wrong}");
        }
        assert_eq!((switch("on"), switch("off")), (Ok(true), Ok(false)));
        assert!(switch("yes").is_err());
    }

    #[test]
    fn networks_and_origins() {
        assert_eq!(list("10.0.0.0/8, ::1", network).map(|l| l.len()), Ok(2));
        for wrong in ["", "10.0.0.0/33", "x", "10.0.0.0/8,"] {
            assert!(list(wrong, network).is_err(), "{wrong}");
        }
        assert_eq!(origin("https://Example.com:8443"), Ok("https://example.com:8443".to_owned()));
        assert_eq!(origin("http://localhost:*"), Ok("http://localhost:*".to_owned()));
        for wrong in ["", "*", "example.com", "ftp://x", "https://x/", "https://x/y", "https://u@x", "https://x?q"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn key_names() {
        assert_eq!(list("iban, card number", key_name), Ok(vec!["iban".to_owned(), "card number".to_owned()]));
        for wrong in ["", "a", "_-", "iban,", &"x".repeat(65)] {
            assert!(list(wrong, key_name).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("120/m"), Ok(Rate { count: 120, per: Duration::from_secs(60) }));
        assert_eq!(rate("1/s").map(|r| r.per.as_secs()), Ok(1));
        assert_eq!(rate("1000000/h").map(|r| r.per.as_secs()), Ok(3600));
        for wrong in ["", "120", "0/m", "1000001/s", "x/m", "1/d", "-1/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
