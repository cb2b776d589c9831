//! Waivers: a comment that lets one line break one rule, with a reason.
//! Promise: only some rules can be waived, a waiver needs a reason, and one that waives nothing is a finding.
//! Not here: the rules.
//!
//! Written as a comment, `tidy: allow(sleep) the reason`, on the line itself or the line above.

use crate::finding::Finding;
use crate::tree::TextFile;

/// Rules that can be waived: those where a machine cannot see the good reason.
const WAIVABLE: &[&str] = &["sleep", "test-purity"];

struct Waiver {
    line: usize,
    rule: String,
    reason: String,
    used: bool,
}

/// Drops what is waived, adds what is wrong with the waivers.
pub fn apply(file: &TextFile, findings: Vec<Finding>) -> Vec<Finding> {
    let mut waivers = read(&file.text);
    let mut left: Vec<Finding> = findings
        .into_iter()
        .filter(|finding| !waived(&mut waivers, finding))
        .collect();
    left.extend(waivers.iter().filter_map(|waiver| fault(file, waiver)));
    left
}

fn read(text: &str) -> Vec<Waiver> {
    let mut waivers = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((_, rest)) = line.split_once(concat!("// tidy:", " allow(")) else {
            continue;
        };
        let (rule, reason) = rest.split_once(')').unwrap_or((rest, ""));
        waivers.push(Waiver {
            line: at + 1,
            rule: rule.to_owned(),
            reason: reason.trim().to_owned(),
            used: false,
        });
    }
    waivers
}

fn waived(waivers: &mut [Waiver], finding: &Finding) -> bool {
    let near =
        |waiver: &&mut Waiver| finding.line == waiver.line || finding.line == waiver.line + 1;
    let matching = waivers
        .iter_mut()
        .filter(near)
        .find(|waiver| waiver.rule == finding.rule);
    match matching {
        Some(waiver) if is_sound(waiver) => {
            waiver.used = true;
            true
        }
        _ => false,
    }
}

fn is_sound(waiver: &Waiver) -> bool {
    WAIVABLE.contains(&waiver.rule.as_str()) && !waiver.reason.is_empty()
}

fn fault(file: &TextFile, waiver: &Waiver) -> Option<Finding> {
    let text = if !WAIVABLE.contains(&waiver.rule.as_str()) {
        format!("`{}` cannot be waived", waiver.rule)
    } else if waiver.reason.is_empty() {
        "a waiver says why, after the bracket".to_owned()
    } else if waiver.used {
        return None;
    } else {
        "this waiver waives nothing: remove it".to_owned()
    };
    Some(Finding::at(&file.path, waiver.line, "waiver", text))
}

#[cfg(test)]
mod tests {
    use crate::tidy::fixture::found_in_code;

    const MARK: &str = concat!("// tidy:", " allow");

    #[test]
    fn a_waiver_with_a_reason_covers_its_line_and_the_next() {
        let above = format!("{MARK}(test-purity) the oracle is in floats\ntype A = f64;\n");
        let beside = format!("type A = f64; {MARK}(test-purity) the oracle is in floats\n");
        assert_eq!(found_in_code("crates/domain/src/a_test.rs", &above), []);
        assert_eq!(found_in_code("crates/domain/src/a_test.rs", &beside), []);
        let far = format!("{MARK}(test-purity) the oracle is in floats\n\ntype A = f64;\n");
        assert_eq!(
            found_in_code("crates/domain/src/a_test.rs", &far),
            [(2, "waiver"), (4, "test-purity")]
        );
    }

    #[test]
    fn a_waiver_without_a_reason_or_a_use_is_found() {
        let bare = format!("type A = f64; {MARK}(test-purity)\n");
        assert_eq!(
            found_in_code("crates/domain/src/a_test.rs", &bare),
            [(2, "test-purity"), (2, "waiver")]
        );
        assert_eq!(
            found_in_code("a.rs", &format!("{MARK}(sleep) no reason any more\n")),
            [(2, "waiver")]
        );
    }

    #[test]
    fn most_rules_cannot_be_waived() {
        let product = format!("type A = f64; {MARK}(purity) it is quick\n");
        assert_eq!(
            found_in_code("crates/domain/src/a.rs", &product),
            [(2, "purity"), (2, "waiver")]
        );
        let code = format!("#[ignore] {MARK}(ignored-test) it is slow\nfn a() {{}}\n");
        assert_eq!(
            found_in_code("a.rs", &code),
            [(2, "ignored-test"), (2, "waiver")]
        );
    }
}
