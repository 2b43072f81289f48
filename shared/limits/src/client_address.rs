//! Where a caller is, seen through the proxies in front of us.
//!
//! Headers are only believed as far as the proxies that wrote them are trusted: reading from the right, the first address that is not
//! a trusted proxy is the caller. What stands further left was written by the caller and means nothing.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the caller: the right-most entry of `X-Forwarded-For` or `Forwarded` (RFC 7239) that is not a trusted proxy.
///
/// `peer` is the other end of the connection; when it is not trusted it is the answer, whatever the headers say. An entry that names no
/// address (`unknown`, `_hidden`, garbage) ends the search: the proxy right of it is the best that is known. When both headers are
/// there and name different callers, one of them came through unread from the caller, and the peer is the answer. IPv4 addresses
/// written as IPv6 count as IPv4.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    match (by_x_forwarded_for(peer, headers, trusted), by_forwarded(peer, headers, trusted)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(address), _) | (None, Some(address)) => address,
        (None, None) => peer,
    }
}

/// Whether an address is that of a trusted proxy, whose headers are believed.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// `None` when there is no such header.
fn by_x_forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR);
    lines.iter().next()?;
    // Several lines are one list, so the last line is the nearest.
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(read_node));
    Some(nearest_untrusted(peer, hops, trusted))
}

/// `None` when there is no such header.
fn by_forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED);
    lines.iter().next()?;
    let mut hops = Vec::new();
    for line in lines {
        // A line that breaks the grammar may hide a hop inside an open quote, so nothing of the header can be believed.
        let Some(found) = line.to_str().ok().and_then(read_forwarded) else { return Some(peer) };
        hops.extend(found);
    }
    Some(nearest_untrusted(peer, hops.into_iter().rev(), trusted))
}

fn nearest_untrusted(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for hop in hops {
        let Some(address) = hop else { return nearest };
        nearest = address;
        if !is_trusted(address, trusted) {
            return nearest;
        }
    }
    nearest
}

/// The address of a node: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn read_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// The `for` of every element of a `Forwarded` line, left to right; `None` when the line breaks the grammar of RFC 7239.
fn read_forwarded(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    let mut rest = line;
    loop {
        let (hop, after) = read_element(rest)?;
        hops.push(hop);
        match after {
            Some(next) => rest = next,
            None => return Some(hops),
        }
    }
}

/// One element, up to its comma. Gives its `for` and what follows the comma.
fn read_element(mut rest: &str) -> Option<(Option<IpAddr>, Option<&str>)> {
    let mut hop = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((hop, None));
        }
        if let Some(next) = rest.strip_prefix(',') {
            return Some((hop, Some(next)));
        }
        let (name, value, after) = read_pair(rest)?;
        if name.eq_ignore_ascii_case("for") {
            hop = read_node(&value);
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with([';', ','])) {
            return None;
        }
    }
}

/// `token "=" (token / quoted-string)`. Gives the name, the value and what follows.
fn read_pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = read_quoted(quoted)?;
        return Some((name, value, rest));
    }
    let end = rest.find([';', ',', ' ', '\t', '"']).unwrap_or(rest.len());
    let (value, rest) = rest.split_at(end);
    Some((name, value.to_owned(), rest))
}

/// The text up to the closing quote, and what follows the quote; `None` when it is not closed.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "203.0.113.9";

    fn seen(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn headers_of_a_peer_that_is_no_proxy_mean_nothing() {
        assert_eq!(seen(STRANGER, &[("x-forwarded-for", "192.0.2.1")]), STRANGER);
        assert_eq!(seen(STRANGER, &[("forwarded", "for=192.0.2.1")]), STRANGER);
        assert_eq!(seen(STRANGER, &[]), STRANGER);
        assert_eq!(seen("::ffff:203.0.113.9", &[]), STRANGER);
    }

    #[test]
    fn the_right_most_entry_that_is_no_proxy_is_the_caller() {
        for (entries, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("192.0.2.1,10.0.0.3 , 10.0.0.2", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("10.0.0.7, 192.0.2.1", "192.0.2.1"),
            ("127.0.0.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80, fd00::5", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ] {
            assert_eq!(seen(PROXY, &[("x-forwarded-for", entries)]), expected, "{entries}");
        }
    }

    #[test]
    fn an_entry_without_an_address_ends_the_search() {
        for entries in
            ["192.0.2.1, unknown", "192.0.2.1, _hidden", "192.0.2.1, ", "", "192.0.2.1, [::1", "192.0.2.1, 1.2.3.4.5", "é"]
        {
            assert_eq!(seen(PROXY, &[("x-forwarded-for", entries)]), PROXY, "{entries}");
        }
        assert_eq!(seen(PROXY, &[("x-forwarded-for", "192.0.2.1, unknown, 10.0.0.2")]), "10.0.0.2");
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2")];
        assert_eq!(seen(PROXY, &lines), "192.0.2.1");
        assert_eq!(seen(PROXY, &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.2")]), "192.0.2.1");
        assert_eq!(seen(PROXY, &[("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.2")]), "192.0.2.1");
    }

    #[test]
    fn forwarded_is_read_with_quotes_ports_parameters_and_hidden_names() {
        for (entries, expected) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("For=\"192.0.2.43:4711\"", "192.0.2.43"),
            ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8::1]\";proto=https;by=10.0.0.1", "2001:db8::1"),
            ("proto=http;for=192.0.2.60;by=203.0.113.43", "192.0.2.60"),
            ("for=1.1.1.1, for=192.0.2.1;proto=https, for=10.0.0.2", "192.0.2.1"),
            ("for=\"192.0.2\\.1\"", "192.0.2.1"),
            ("host=\"a,b;c\\\"d\";for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1 ; proto=https , for=10.0.0.2", "192.0.2.1"),
            ("for=192.0.2.1, for=unknown", PROXY),
            ("for=192.0.2.1, for=_SEVKISEK", PROXY),
            ("for=192.0.2.1, for=\"_gazonk\", for=10.0.0.2", "10.0.0.2"),
            ("for=192.0.2.1, proto=https", PROXY),
            ("for=192.0.2.1,", PROXY),
        ] {
            assert_eq!(seen(PROXY, &[("forwarded", entries)]), expected, "{entries}");
        }
    }

    #[test]
    fn a_caller_cannot_hide_the_proxys_entry_inside_an_open_quote() {
        for entries in [
            "for=\"1.1.1.1, for=203.0.113.9",
            "for=1.1.1.1;x=\"y, for=\"[2001:db8::1]\"",
            "for=1.1.1.1 x, for=192.0.2.1",
            "for=1.1.1.1;=y",
            "1.1.1.1",
        ] {
            assert_eq!(seen(PROXY, &[("forwarded", entries)]), PROXY, "{entries}");
        }
        assert_eq!(seen(PROXY, &[("forwarded", "for=\"1.1.1.1"), ("forwarded", "for=192.0.2.1")]), PROXY);
    }

    #[test]
    fn two_headers_that_disagree_are_both_left_unread() {
        let lines = [("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(seen(PROXY, &lines), "192.0.2.1");
        let lines = [("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
        assert_eq!(seen(PROXY, &lines), PROXY);
    }
}
