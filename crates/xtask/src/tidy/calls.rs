//! Calls: words of code that the house refuses, by place.
//! Promise: comments and literals never match; a line in test code is judged as test code.
//! Not here: what clippy refuses by resolved path (`clippy.toml`).

use crate::finding::Finding;
use crate::rust_code::{Clock, RustCode, Token, TokenKind};
use crate::tidy::is_test_file;
use crate::tree::TextFile;

/// Unfinished code: it would panic in front of a customer.
const UNFINISHED: &[&str] = &[concat!("to", "do"), concat!("unimple", "mented")];
/// Sources of difference between two replicas that apply one log.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "RandomState",
    "DefaultHasher",
    "f32",
    "f64",
    "Instant",
    "SystemTime",
    "async",
    "await",
];
/// The same for `wire`, which may hash while it reads a text but knows no time and awaits nothing.
const IMPURE_WIRE: &[&str] = &["Instant", "SystemTime", "async", "await"];

/// All findings in the tokens of one file.
pub fn check(file: &TextFile, code: &RustCode, findings: &mut Vec<Finding>) {
    let mut found = Vec::new();
    ignored_tests(code, &mut found);
    unfinished(code, &mut found);
    unbiased_selects(code, &mut found);
    sleeping_tests(file, code, &mut found);
    impurities(file, code, &mut found);
    findings.extend(
        found
            .into_iter()
            .map(|(line, rule, text)| Finding::at(&file.path, line, rule, text)),
    );
}

type Found = Vec<(usize, &'static str, String)>;

fn ignored_tests(code: &RustCode, found: &mut Found) {
    let text = "a test that does not run proves nothing: mend or delete it";
    let plain = code.lines_of(&["#", "[", "ignore"]);
    let conditional = code
        .lines_of(&["cfg_attr", "("])
        .into_iter()
        .filter(|line| {
            code.tokens
                .iter()
                .any(|token| token.line == *line && token.text == "ignore")
        });
    found.extend(
        plain
            .into_iter()
            .chain(conditional)
            .map(|line| (line, "ignored-test", text.to_owned())),
    );
}

fn unfinished(code: &RustCode, found: &mut Found) {
    for name in UNFINISHED {
        let text = format!("`{name}!` panics in front of a customer: finish it or leave it out");
        found.extend(
            code.lines_of(&[name, "!"])
                .into_iter()
                .map(|line| (line, "unfinished", text.clone())),
        );
    }
}

/// Without `biased;` the order of polling is drawn at random, and a simulated run does not replay.
fn unbiased_selects(code: &RustCode, found: &mut Found) {
    for window in code.tokens.windows(5) {
        let [name, bang, open, first, second] = window else {
            continue;
        };
        let call = name.text == "select" && bang.text == "!" && open.kind == TokenKind::Open;
        if call && !(first.text == "biased" && second.text == ";") {
            let text =
                "`select!` must begin with `biased;`, or a run does not replay from its seed";
            found.push((name.line, "select", text.to_owned()));
        }
    }
}

fn sleeping_tests(file: &TextFile, code: &RustCode, found: &mut Found) {
    for (at, token) in code.tokens.iter().enumerate() {
        let in_test = is_test_file(&file.path) || code.in_test_module(token.line);
        if !in_test || !is_sleep_call(&code.tokens, at) {
            continue;
        }
        let paused = code.clock_at(token.line) == Clock::Paused;
        if !paused || names_thread(&code.tokens, at) {
            let text = "a test that sleeps is slow or flaky: wait for the event, or use `start_paused = true`";
            found.push((token.line, "sleep", text.to_owned()));
        }
    }
}

fn is_sleep_call(tokens: &[Token], at: usize) -> bool {
    let name = matches!(tokens[at].text.as_str(), "sleep" | "sleep_until");
    let called = tokens.get(at + 1).is_some_and(|next| next.text == "(");
    let defined = at > 0 && tokens[at - 1].text == "fn";
    name && called && !defined
}

fn names_thread(tokens: &[Token], at: usize) -> bool {
    at >= 3 && tokens[at - 3].text == "thread"
}

fn impurities(file: &TextFile, code: &RustCode, found: &mut Found) {
    let (refused, place) = match &file.path {
        path if path.starts_with("crates/domain/src/") => (IMPURE, "domain"),
        path if path.starts_with("crates/wire/src/") => (IMPURE_WIRE, "wire"),
        _ => return,
    };
    for (at, token) in code.tokens.iter().enumerate() {
        let word = token.kind == TokenKind::Word && refused.contains(&token.text.as_str());
        let float = place == "domain" && is_float_literal(&code.tokens, at);
        if word || float {
            let in_test = is_test_file(&file.path) || code.in_test_module(token.line);
            let rule = if in_test { "test-purity" } else { "purity" };
            let text = format!(
                "`{}` in {place}: two replicas of one log could differ",
                token.text
            );
            found.push((token.line, rule, text));
        }
    }
}

fn is_float_literal(tokens: &[Token], at: usize) -> bool {
    let tuple_fields = at > 0 && tokens[at - 1].text == "."; // `pair.0.1` is read as `pair` `.` `0.1`
    tokens[at].kind == TokenKind::Literal && !tuple_fields && is_float(&tokens[at].text)
}

/// `1.5`, `1e3` or `2f64`, but no integer, string or hexadecimal number.
fn is_float(literal: &str) -> bool {
    let decimal = literal.starts_with(|c: char| c.is_ascii_digit()) && !literal.starts_with("0x");
    decimal
        && (literal.contains('.')
            || literal.contains("f32")
            || literal.contains("f64")
            || has_exponent(literal))
}

fn has_exponent(literal: &str) -> bool {
    let number = literal.trim_end_matches("usize").trim_end_matches("isize");
    number.contains(['e', 'E'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::fixture::found_in_code;

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(
            found_in_code("a.rs", "#[test]\n#[ignore]\nfn a() {}\n"),
            [(3, "ignored-test")]
        );
        assert_eq!(
            found_in_code("a.rs", "#[ignore = \"slow\"]\nfn a() {}\n"),
            [(2, "ignored-test")]
        );
        assert_eq!(
            found_in_code("a.rs", "#[cfg_attr(miri, ignore)]\nfn a() {}\n"),
            [(2, "ignored-test")]
        );
    }

    #[test]
    fn unfinished_code_is_found_and_prose_about_it_is_not() {
        let code = format!(
            "// never {0}!()\nfn a() {{ {0}!(\"later\") }}\n",
            UNFINISHED[0]
        );
        assert_eq!(found_in_code("a.rs", &code), [(3, "unfinished")]);
        assert_eq!(
            found_in_code("a.rs", &format!("fn a() {{ {}!() }}\n", UNFINISHED[1])),
            [(2, "unfinished")]
        );
    }

    #[test]
    fn a_select_without_biased_is_found() {
        let select = |first: &str| {
            format!("async fn a() {{\n tokio::select! {{ {first} x = b() => x }}\n}}\n")
        };
        assert_eq!(found_in_code("a.rs", &select("")), [(3, "select")]);
        assert_eq!(found_in_code("a.rs", &select("biased;")), []);
    }

    #[test]
    fn a_test_may_sleep_only_on_a_paused_clock() {
        let test = |attribute: &str, call: &str| {
            format!("#[tokio::test{attribute}]\nasync fn a() {{\n {call}(S).await;\n}}\n")
        };
        let paused = "(start_paused = true)";
        assert_eq!(
            found_in_code("a_test.rs", &test("", "tokio::time::sleep")),
            [(4, "sleep")]
        );
        assert_eq!(
            found_in_code("crates/a/tests/b.rs", &test("", "sleep")),
            [(4, "sleep")]
        );
        assert_eq!(
            found_in_code("a_test.rs", &test(paused, "tokio::time::sleep")),
            []
        );
        assert_eq!(
            found_in_code("a_test.rs", &test(paused, "std::thread::sleep")),
            [(4, "sleep")]
        );
        assert_eq!(
            found_in_code("a.rs", &test("", "tokio::time::sleep")),
            [],
            "not a test: clippy's business"
        );
    }

    #[test]
    fn what_paused_tests_share_may_sleep_and_what_a_running_test_shares_may_not() {
        let shared = "async fn until() {\n tokio::time::sleep(S).await;\n}\n";
        let paused = "#[tokio::test(start_paused = true)]\nasync fn a() { until().await }\n";
        let running = "#[tokio::test]\nasync fn b() { until().await }\n";
        assert_eq!(found_in_code("a_test.rs", shared), [(3, "sleep")]);
        assert_eq!(found_in_code("a_test.rs", &format!("{shared}{paused}")), []);
        assert_eq!(
            found_in_code("a_test.rs", &format!("{shared}{paused}{running}")),
            [(3, "sleep")]
        );
        assert_eq!(
            found_in_code("a_test.rs", "fn a() { sleep_ms(1); }\n"),
            [],
            "a function of ours"
        );
    }

    #[test]
    fn a_sleep_in_an_inline_test_module_is_found() {
        let code = "#[cfg(test)]\nmod tests {\n fn a() { std::thread::sleep(S); }\n}\n";
        assert_eq!(found_in_code("a.rs", code), [(4, "sleep")]);
    }

    #[test]
    fn each_source_of_difference_is_refused_in_the_domain() {
        for word in IMPURE
            .iter()
            .filter(|word| !matches!(**word, "async" | "await"))
        {
            let code = format!("type A = {word};\n");
            assert_eq!(
                found_in_code("crates/domain/src/a.rs", &code),
                [(2, "purity")],
                "{word}"
            );
            assert_eq!(
                found_in_code("crates/store/src/a.rs", &code),
                [],
                "{word} elsewhere"
            );
        }
        let awaiting = "async fn a() {\n b().await;\n}\n";
        assert_eq!(
            found_in_code("crates/domain/src/a.rs", awaiting),
            [(2, "purity"), (3, "purity")]
        );
        assert_eq!(
            found_in_code("crates/domain/src/a.rs", "const A: u8 = b(1.5, c.0.1);\n"),
            [(2, "purity")]
        );
        assert_eq!(
            found_in_code("crates/domain/src/a_test.rs", "type A = f64;\n"),
            [(2, "test-purity")]
        );
        assert_eq!(
            found_in_code("crates/wire/src/a.rs", "type A = SystemTime;\n"),
            [(2, "purity")]
        );
        assert_eq!(found_in_code("crates/wire/src/a.rs", "type A = f64;\n"), []);
    }

    #[test]
    fn float_literals_are_told_from_integers() {
        for float in ["1.5", "1.", "1e3", "2f64", "1_0.0"] {
            assert!(is_float(float), "{float}");
        }
        for other in ["1", "0xfe", "1_000u64", "\"1.5\"", "3usize", "4isize"] {
            assert!(!is_float(other), "{other}");
        }
    }
}
