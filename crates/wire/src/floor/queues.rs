//! The queues of `floor.toml`.
//! Promise: absent keys take the domain's defaults.
//! Not here: overflow steps, which are refused until they are built.

use domain::ids::{LanguageId, SkillId};
use domain::plan::{
    OnAgentLost, QueuePlan, QueueTexts, Requirement, ServiceLevel, Strategy, Timers, Urgency,
    WrapUpMode,
};

use super::reader::{Reader, Section};
use super::sections::levels;
use super::words::{DEFINITION, ON_AGENT_LOST, STRATEGY, URGENCY, WRAP_UP};

/// Most that wait in a queue when the file names none.
pub(super) const WAITING_MAX: u32 = 1_000;

pub(super) fn queue<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<QueuePlan> {
    reader.only(
        table,
        &[
            "skills",
            "languages",
            "urgency",
            "strategy",
            "waiting_max",
            "paused",
            "on_agent_lost",
            "wrap_up",
            "boost_max",
            "service_level",
            "timers",
            "texts",
        ],
    );
    Some(QueuePlan {
        requires: requires(reader, table),
        urgency: reader
            .word(table, "urgency", URGENCY)
            .unwrap_or(Urgency::Normal),
        strategy: reader
            .word(table, "strategy", STRATEGY)
            .unwrap_or(Strategy::LongestIdle),
        waiting_max: reader.number(table, "waiting_max").unwrap_or(WAITING_MAX),
        paused: reader.flag(table, "paused").unwrap_or(false),
        on_agent_lost: reader
            .word(table, "on_agent_lost", ON_AGENT_LOST)
            .unwrap_or(OnAgentLost::Requeue),
        wrap_up: reader
            .word(table, "wrap_up", WRAP_UP)
            .unwrap_or(WrapUpMode::Optional),
        timers: timers(reader, table),
        service_level: service_level(reader, table),
        boost_ms_max: reader.duration(table, "boost_max").unwrap_or(0),
        texts: texts(reader, table),
    })
}

fn requires<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Vec<Requirement> {
    let skills = levels::<SkillId>(reader, table, "skills");
    let languages = levels::<LanguageId>(reader, table, "languages");
    let skills = skills
        .into_iter()
        .map(|(skill, level)| Requirement::Skill(skill, level));
    let languages = languages
        .into_iter()
        .map(|(language, level)| Requirement::Language(language, level));
    skills.chain(languages).collect()
}

fn timers<'d>(reader: &mut Reader<'d>, queue: &Section<'d>) -> Timers {
    let mut timers = Timers::default();
    let Some(table) = reader.table(queue, "timers") else {
        return timers;
    };
    let keys: [(&str, &mut u64); 11] = [
        ("offer", &mut timers.offer_ms),
        ("back_off", &mut timers.back_off_ms),
        ("back_off_max", &mut timers.back_off_ms_max),
        ("first_reply_warn", &mut timers.first_reply_warn_ms),
        ("first_reply_reclaim", &mut timers.first_reply_reclaim_ms),
        ("silent_warn", &mut timers.silent_warn_ms),
        ("silent_hold", &mut timers.silent_hold_ms),
        ("agent_lost", &mut timers.agent_lost_ms),
        ("prefer", &mut timers.prefer_ms),
        ("wrap_up", &mut timers.wrap_up_ms),
        ("hold_close", &mut timers.hold_close_ms),
    ];
    let known: Vec<&str> = keys
        .iter()
        .map(|(key, _)| *key)
        .chain(["misses_max"])
        .collect();
    reader.only(&table, &known);
    for (key, value) in keys {
        *value = reader.duration(&table, key).unwrap_or(*value);
    }
    timers.misses_max = reader
        .number(&table, "misses_max")
        .unwrap_or(timers.misses_max);
    timers
}

fn service_level<'d>(reader: &mut Reader<'d>, queue: &Section<'d>) -> ServiceLevel {
    let usual = ServiceLevel::default();
    let Some(table) = reader.table(queue, "service_level") else {
        return usual;
    };
    reader.only(&table, &["within", "target", "definition"]);
    ServiceLevel {
        threshold_ms: reader
            .duration(&table, "within")
            .unwrap_or(usual.threshold_ms),
        target_permille: reader
            .share(&table, "target")
            .unwrap_or(usual.target_permille),
        definition: reader
            .word(&table, "definition", DEFINITION)
            .unwrap_or(usual.definition),
    }
}

fn texts<'d>(reader: &mut Reader<'d>, queue: &Section<'d>) -> QueueTexts {
    let Some(table) = reader.table(queue, "texts") else {
        return QueueTexts::default();
    };
    reader.only(&table, &["greeting", "full", "paused", "nobody_staffed"]);
    let mut read = |key| reader.text(&table, key).unwrap_or_default().into();
    QueueTexts {
        greeting: read("greeting"),
        full: read("full"),
        paused: read("paused"),
        nobody_staffed: read("nobody_staffed"),
    }
}
