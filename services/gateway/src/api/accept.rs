//! Content negotiation (RFC 9110, 12.5.1).

use http::{HeaderMap, header};

/// Most ranges that are looked at; the header as a whole is bounded by the request's head.
const MAX_RANGES: usize = 64;

/// The one of `offers` that the client likes best, the earlier where it likes several as much;
/// nothing where it takes none. Without the header it takes any.
pub fn choose<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Option<&'a str> {
    let lines: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    let ranges: Vec<Range<'_>> = lines
        .iter()
        .flat_map(|line| line.split(','))
        .filter_map(Range::read)
        .take(MAX_RANGES)
        .collect();
    if lines.iter().all(|line| line.trim().is_empty()) {
        return offers.first().copied();
    }
    let mut best: Option<(&str, u16)> = None;
    for offer in offers {
        // What says most about this type decides.
        let closest = ranges
            .iter()
            .filter_map(|range| Some((range.closeness(offer)?, range.quality)));
        let quality = closest
            .max_by_key(|(closeness, _)| *closeness)
            .map_or(0, |(_, quality)| quality);
        if quality > best.map_or(0, |(_, best)| best) {
            best = Some((offer, quality));
        }
    }
    best.map(|(offer, _)| offer)
}

struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let mut quality = 1000;
        for part in parts {
            if let Some((name, value)) = part.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                let value: f32 = value.trim().parse().ok()?;
                quality = (value.clamp(0.0, 1.0) * 1000.0) as u16;
            }
        }
        Some(Self { kind, subkind, quality })
    }

    /// 2 for the type itself, 1 for `type/*`, 0 for `*/*`.
    fn closeness(&self, offer: &str) -> Option<u8> {
        let (kind, subkind) = offer.split_once('/')?;
        if self.kind == "*" && self.subkind == "*" {
            return Some(0);
        }
        if !self.kind.eq_ignore_ascii_case(kind) {
            return None;
        }
        match self.subkind {
            "*" => Some(1),
            own if own.eq_ignore_ascii_case(subkind) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_wins() {
        const OFFERS: [&str; 3] = ["application/json", "text/csv", "application/x-ndjson"];
        for (accept, chosen) in [
            ("", Some("application/json")),
            ("*/*", Some("application/json")),
            ("text/csv", Some("text/csv")),
            ("TEXT/CSV; charset=utf-8", Some("text/csv")),
            ("text/*", Some("text/csv")),
            ("application/json;q=0.5, text/csv", Some("text/csv")),
            ("application/json, text/csv", Some("application/json")),
            ("*/*, application/json;q=0", Some("text/csv")),
            (
                "application/*;q=0.2, application/x-ndjson;q=0.3",
                Some("application/x-ndjson"),
            ),
            ("text/csv;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("text/csv;q=x", None),
            ("text/csv;q=NaN", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(choose(&headers, &OFFERS), chosen, "{accept}");
        }
        assert_eq!(choose(&HeaderMap::new(), &OFFERS), Some("application/json"));
    }
}
