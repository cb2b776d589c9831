//! Times and shares as people write them.
//! Promise: what is written is read back as the same number.
//! Not here: which keys hold them.

/// Units of time with their milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `"20s"` as milliseconds: digits, then one unit of ms, s, m, h, d.
pub(super) fn parse_duration(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*unit_ms)
}

/// Writes milliseconds in the longest unit of which they are a whole number.
pub fn duration_text(ms: u64) -> String {
    let whole = UNITS
        .iter()
        .find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(*unit_ms));
    let (unit, unit_ms) = whole.unwrap_or(&("s", 1_000));
    format!("{}{unit}", ms / unit_ms)
}

/// Reads `"80%"` or `"82.5%"` as thousandths.
pub(super) fn parse_share(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(tenth) || tenth.len() != 1 {
        return None;
    }
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(10)?
        .checked_add(tenth.parse().ok()?)
}

/// Writes thousandths as a share in percent.
pub(super) fn share_text(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        tenth => format!("{}.{tenth}%", permille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_one_unit_and_nothing_else() {
        for (text, ms) in [
            ("20s", 20_000),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("250ms", 250),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "20",
            "s",
            "20 s",
            "1.5s",
            "-1s",
            "20sec",
            "1m30s",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_the_longest_whole_unit() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(duration_text(ms), text);
        }
    }

    #[test]
    fn shares_are_read_in_percent_with_one_decimal_at_most() {
        assert_eq!(
            (parse_share("80%"), parse_share("82.5%")),
            (Some(800), Some(825))
        );
        for text in ["80", "%", ".5%", "82.55%", "-1%", "99999999999%"] {
            assert_eq!(parse_share(text), None, "{text}");
        }
        assert_eq!(
            (share_text(800), share_text(825)),
            ("80%".to_owned(), "82.5%".to_owned())
        );
    }
}
