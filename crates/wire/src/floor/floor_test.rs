//! Claims about `floor.toml`.

use proptest::prelude::*;

use super::{SAMPLE, parse, parse_unchecked, render};
use crate::plan::encode_plan;
use crate::samples::plans;

/// A plan without faults.
const SMALL: &str = r#"
[site.fra]
name = "Frankfurt"
time_zone = "Europe/Berlin"

[skill]
orders = "Orders"

[language]
de = "German"

[channel.web]
cost = 25

[account.web-de]
channel = "web"
site = "fra"
queue = "orders"

[[intake]]
language = "de"
queue = "orders"

[queue.orders]
skills = { orders = 2 }
languages = { de = 3 }

[agent.ana]
name = "Ana"
site = "fra"
skills = { orders = 3 }
languages = { de = 5 }
"#;

/// The faults of the small plan after a replacement, as text.
fn faults(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from} is not in the small plan");
    let found = parse(&SMALL.replacen(from, to, 1)).expect_err("the plan is faulty");
    found.iter().map(ToString::to_string).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_rendered_plan_is_read_back_as_it_was(plan in plans()) {
        let text = render(&plan);
        prop_assert_eq!(parse_unchecked(&text), Ok(plan), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn a_damaged_sample_never_panics(from in any::<prop::sample::Index>(), len in 1_usize..40) {
        let letters: Vec<char> = SAMPLE.chars().collect();
        let from = from.index(letters.len());
        let cut: String = letters.iter().enumerate().filter(|(at, _)| !(from..from + len).contains(at)).map(|(_, letter)| *letter).collect();
        let _ = parse(&cut);
    }
}

#[test]
fn the_small_plan_has_no_fault() {
    assert!(parse(SMALL).is_ok());
}

#[test]
fn the_sample_has_three_sites_six_queues_forty_agents_and_no_fault() {
    let plan = parse(SAMPLE).expect("the sample has no fault");
    assert_eq!(
        (plan.sites.len(), plan.queues.len(), plan.agents.len()),
        (3, 6, 40)
    );
    let languages: Vec<&str> = plan
        .languages
        .keys()
        .map(domain::ids::LanguageId::as_str)
        .collect();
    assert_eq!(languages, ["de", "en", "zh"]);
    assert!(encode_plan(&plan).len() < 16 * 1_024);
    assert_eq!(parse(&render(&plan)), Ok(plan));
}

#[test]
fn unknown_keys_are_refused_with_line_column_and_a_did_you_mean() {
    assert_eq!(
        faults("time_zone", "timezone"),
        [
            "2:7: site.fra lacks \"time_zone\"",
            "4:1: unknown key \"timezone\" in site.fra; did you mean \"time_zone\"?",
        ]
    );
    assert_eq!(
        faults("[agent.ana]", "[agnet.ana]"),
        ["28:2: unknown key \"agnet\"; did you mean \"agent\"?"]
    );
}

#[test]
fn overflow_steps_are_refused_as_not_built_yet() {
    let with_step = "languages = { de = 3 }\n[[queue.orders.step]]\nafter = \"2m\"";
    assert_eq!(
        faults("languages = { de = 3 }", with_step),
        ["27:16: \"step\": overflow steps are not built yet"]
    );
    assert_eq!(
        faults("[skill]", "[[step]]\n[skill]"),
        ["6:3: \"step\": overflow steps are not built yet"]
    );
}

#[test]
fn faults_of_meaning_carry_line_and_column_too() {
    assert_eq!(
        faults("languages = { de = 3 }", "languages = { ed = 3 }"),
        [
            "24:8: queue.orders: no agent can serve this queue: the nearest, ana, lacks language ed",
            "26:20: queue.orders.languages.ed: there is no language \"ed\"; did you mean \"de\"?",
        ]
    );
    assert_eq!(
        faults(
            "queue = \"orders\"\n\n[queue",
            "queue = \"order\"\n\n[queue"
        ),
        ["22:9: intake[0].queue: there is no queue \"order\"; did you mean \"orders\"?"]
    );
}

#[test]
fn wrong_types_and_words_are_refused_where_they_stand() {
    assert_eq!(
        faults("cost = 25", "cost = \"25\""),
        ["13:8: channel.web.cost must be a whole number, not a string"]
    );
    assert_eq!(
        faults("cost = 25", "cost = -1"),
        ["13:8: channel.web.cost must be a number within its range, not an integer"]
    );
    assert_eq!(
        faults("cost = 25", "cost = 25\ngone = 120"),
        [
            "14:8: channel.web.gone must be a time such as \"20s\", \"10m\" or \"24h\", not an integer"
        ]
    );
    assert_eq!(
        faults(
            "skills = { orders = 2 }",
            "strategy = \"longest_idle\"\nskills = { orders = 2 }"
        ),
        [
            "25:12: queue.orders.strategy: \"longest_idle\" is none of longest-idle, least-load; did you mean \"longest-idle\"?"
        ]
    );
}

#[test]
fn a_level_and_a_timer_out_of_range_are_refused_where_they_stand() {
    assert_eq!(
        faults("de = 5", "de = 7"),
        ["32:20: agent.ana.languages.de: level 7 is outside 1 to 5"]
    );
    let timers = "[queue.orders]\ntimers.offer = \"0s\"";
    assert_eq!(
        faults("[queue.orders]", timers),
        ["25:16: queue.orders.timers.offer: 0 ms is outside 1 ms to 604800000 ms"]
    );
}

#[test]
fn a_channel_that_says_nothing_has_the_defaults_of_its_name() {
    const DAY_MS: u64 = 86_400_000;
    // Cost, exclusive, gone, gone by our fault, short abandon.
    for (name, expected) in [
        ("web", (25, false, 120_000, 600_000, 10_000)),
        ("app", (25, false, 600_000, 600_000, 10_000)),
        ("voice", (100, true, 120_000, 600_000, 5_000)),
        ("email", (10, false, 7 * DAY_MS, 7 * DAY_MS, 10_000)),
        ("sms", (25, false, 120_000, 600_000, 10_000)),
    ] {
        let text = SMALL
            .replacen("[channel.web]\ncost = 25", &format!("[channel.{name}]"), 1)
            .replacen("channel = \"web\"", &format!("channel = \"{name}\""), 1);
        let plan = parse(&text).expect("has no fault");
        let found: Vec<_> = plan
            .channels
            .values()
            .map(|channel| {
                assert_eq!(channel.count_max, None, "{name}");
                (
                    channel.cost,
                    channel.exclusive,
                    channel.gone_ms,
                    channel.gone_our_fault_ms,
                    channel.short_abandon_ms,
                )
            })
            .collect();
        assert_eq!(found, [expected], "{name}");
    }
}

#[test]
fn what_a_channel_says_wins_over_the_default_of_its_name() {
    let said =
        "[channel.voice]\nexclusive = false\ncost = 50\nshort_abandon = \"3s\"\n[channel.web]";
    let plan = parse(&SMALL.replacen("[channel.web]", said, 1)).expect("has no fault");
    let voice = &plan.channels[&"voice".parse().expect("well formed")];
    assert_eq!(
        (
            voice.cost,
            voice.exclusive,
            voice.short_abandon_ms,
            voice.gone_ms
        ),
        (50, false, 3_000, 120_000)
    );
}

#[test]
fn a_boost_is_read_from_rows_and_accounts_and_refused_where_no_queue_allows_it() {
    let boosted = SMALL
        .replacen(
            "language = \"de\"\n",
            "language = \"de\"\nboost = \"2m\"\n",
            1,
        )
        .replacen(
            "site = \"fra\"\nqueue",
            "site = \"fra\"\nboost = \"30s\"\nqueue",
            1,
        );
    let told = parse(&boosted).expect_err("the queue allows no boost");
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "18:9: account.web-de.boost: no queue that this account reaches allows a boost: boost_max is 0 in all of them",
            "23:9: intake[0].boost: queue \"orders\" allows no boost: its boost_max is 0",
        ]
    );
    let allowed = boosted.replacen("[queue.orders]", "[queue.orders]\nboost_max = \"5m\"", 1);
    let plan = parse(&allowed).expect("has no fault");
    let accounts: Vec<u64> = plan
        .accounts
        .values()
        .map(|account| account.boost_ms)
        .collect();
    assert_eq!((plan.intake[0].boost_ms, accounts), (120_000, vec![30_000]));
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    let told = faults("cost = 25", "cost = = 25");
    assert!(told[0].starts_with("13:8:"), "{told:?}");
}

#[test]
fn every_topic_of_a_language_finds_a_queue_of_that_language() {
    let plan = parse(SAMPLE).expect("the sample has no fault");
    let queue = |language: &str, topic: &str| {
        let fits = |rule: &&domain::plan::IntakeRule| {
            rule.language
                .as_ref()
                .is_none_or(|known| known.as_str() == language)
                && rule.topic.as_ref().is_none_or(|known| known == topic)
        };
        plan.intake
            .iter()
            .find(fits)
            .map(|rule| rule.queue.to_string())
            .unwrap_or_default()
    };
    let routed = [
        ("en", "frequent_traveller", "travel-en"),
        ("en", "buses", "travel-en"),
        ("en", "movies", "leisure-en"),
        ("en", "product_defect", "account-en"),
        ("zh", "酒店", "travel-zh"),
        ("zh", "景点", "city-zh"),
        ("de", "anything", "account-de"),
    ];
    for (language, topic, expected) in routed {
        assert_eq!(queue(language, topic), expected, "{language} {topic}");
    }
}

#[test]
fn the_sample_has_the_units_and_short_abandons_of_the_rules() {
    let plan = parse(SAMPLE).expect("has no fault");
    let channels: Vec<_> = plan
        .channels
        .iter()
        .map(|(name, channel)| (name.as_str(), channel.cost, channel.short_abandon_ms))
        .collect();
    assert_eq!(
        channels,
        [
            ("app", 25, 10_000),
            ("email", 10, 10_000),
            ("voice", 100, 5_000),
            ("web", 25, 10_000),
        ]
    );
    let silent = SAMPLE
        .split("[agent.")
        .skip(1)
        .find(|section| !section.contains("\ncapacity"))
        .expect("some agents name no capacity");
    let name = silent.split(']').next().expect("a name");
    assert_eq!(
        plan.agents[&name.parse().expect("well formed")].capacity,
        100
    );
}
