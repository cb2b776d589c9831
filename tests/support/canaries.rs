//! Canaries: words that people write, are called or hold, and the forms in which they would show in a log.
//! Promise: a canary is found as it is, escaped, as numbers, in hex and in base64.
//! Not here: who sings them (`metrics`, and `node`'s own test, which shares this file).

use std::fmt::Write as _;

/// Every word that must not be seen, in what people write, are called or hold. Not ASCII alone, so that
/// escapes show.
pub const CANARIES: [&str; 10] = [
    "Kanari\u{e9}-customer-key",
    "Kanari\u{e9}-display-name",
    "Kanari\u{e9}-first-text",
    "Kanari\u{e9}-customer-text",
    "Kanari\u{e9}-agent-text",
    "Kanari\u{e9}-note-text",
    "Kanari\u{e9}-close-reason",
    "Kanari\u{e9}-rating-comment",
    "Kanari\u{e9}-refused-text",
    "Kanari-bearer-token",
];

/// The forms in which bytes get into a log: as they are, escaped as Rust and JSON do, as numbers, in hex and
/// in base64 at each of its three alignments.
pub fn forms(canary: &str) -> Vec<String> {
    let bytes = canary.as_bytes();
    let mut forms = vec![
        canary.to_owned(),
        bytes.escape_ascii().to_string(),
        canary.escape_unicode().to_string(),
        canary.escape_default().to_string(),
        canary.replace('\u{e9}', "\\u00e9"),
    ];
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    forms.push(numbers.join(", "));
    forms.push(numbers.join(","));
    let mut hex = String::new();
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    forms.push(hex.to_uppercase());
    forms.push(hex);
    forms.extend((0..3).map(|skip| base64_core(bytes, skip)));
    forms
}

/// The part of the base64 form that stays the same when `skip` bytes stand before a multiple of three.
fn base64_core(bytes: &[u8], skip: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes[skip..].chunks_exact(3) {
        let word = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[(word >> shift & 63) as usize]));
        }
    }
    text
}

/// Every form of every canary that `said` holds.
pub fn sung(said: &str) -> Vec<String> {
    let mut found = Vec::new();
    for canary in CANARIES {
        for form in forms(canary).iter().filter(|form| said.contains(*form)) {
            let at = said.find(form.as_str()).unwrap_or(0);
            let line = said[..at].rfind('\n').map_or(0, |end| end + 1);
            let line: String = said[line..].chars().take(400).collect();
            found.push(format!("{canary} as {form}: {line}"));
        }
    }
    found
}
