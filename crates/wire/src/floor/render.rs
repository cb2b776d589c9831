//! A floor plan as canonical TOML.
//! Promise: equal plans give equal texts; every value is written, defaults too, so that the
//! text means the same when a default changes.
//! Not here: comments, which are the author's and live in the author's file.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use domain::plan::{
    AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, QueuePlan, Requirement, Timers,
};

use super::values::{duration_text, share_text};
use super::words::{DEFINITION, ON_AGENT_LOST, STRATEGY, URGENCY, WRAP_UP, word_of};

/// The header of a row of the intake table, of which there are several without names.
pub(super) const INTAKE: &str = "intake";

/// The plan as the text of a `floor.toml`.
pub fn render(plan: &FloorPlan) -> String {
    let mut text = String::new();
    sections(plan)
        .iter()
        .for_each(|section| print(&mut text, section));
    text
}

/// The plan as the sections of its text, in order.
pub(super) fn sections(plan: &FloorPlan) -> Vec<Section> {
    let mut page = Page(vec![Page::begin("", "")]);
    page.text("tenant", plan.tenant.as_str());
    policy(&mut page, &plan.policy);
    for (id, site) in &plan.sites {
        page.header("site", id.as_str());
        page.text("name", &site.display_name);
        page.text("time_zone", &site.time_zone);
    }
    labels(&mut page, "skill", &plan.skills);
    labels(&mut page, "language", &plan.languages);
    for (id, plan) in &plan.channels {
        page.header("channel", id.as_str());
        channel(&mut page, plan);
    }
    for (id, account) in &plan.accounts {
        page.header("account", id.as_str());
        page.text("channel", account.channel.as_str());
        page.text("site", account.site.as_str());
        page.text("queue", account.queue.as_str());
        page.time("boost", account.boost_ms);
    }
    plan.intake.iter().for_each(|row| rule(&mut page, row));
    for (id, plan) in &plan.queues {
        page.header("queue", id.as_str());
        queue(&mut page, plan);
    }
    for (id, plan) in &plan.agents {
        page.header("agent", id.as_str());
        agent(&mut page, plan);
    }
    page.0
}

fn policy(page: &mut Page, policy: &FloorPolicy) {
    page.header("policy", "");
    page.time("heartbeat", policy.heartbeat_ms);
    page.time("suspect", policy.suspect_ms);
    page.time("lost", policy.lost_ms);
    page.time("lost_site_down", policy.lost_site_down_ms);
    page.plain("customer_commands_max", policy.customer_commands_max);
    page.time("customer_window", policy.customer_window_ms);
    page.plain("expiry_spike_min", policy.expiry_spike_min);
    page.text(
        "expiry_spike_share",
        &share_text(policy.expiry_spike_permille),
    );
}

fn labels<K: Display>(page: &mut Page, section: &'static str, labels: &BTreeMap<K, String>) {
    if labels.is_empty() {
        return;
    }
    page.header(section, "");
    for (id, text) in labels {
        page.text(&id.to_string(), text);
    }
}

fn channel(page: &mut Page, channel: &ChannelPlan) {
    page.plain("cost", channel.cost);
    if let Some(count) = channel.count_max {
        page.plain("count_max", count);
    }
    page.plain("exclusive", channel.exclusive);
    page.time("gone", channel.gone_ms);
    page.time("gone_our_fault", channel.gone_our_fault_ms);
    page.time("short_abandon", channel.short_abandon_ms);
}

fn rule(page: &mut Page, rule: &IntakeRule) {
    page.header(INTAKE, "");
    if let Some(language) = &rule.language {
        page.text("language", language.as_str());
    }
    if let Some(topic) = &rule.topic {
        page.text("topic", topic);
    }
    page.text("queue", rule.queue.as_str());
    page.time("boost", rule.boost_ms);
}

fn queue(page: &mut Page, queue: &QueuePlan) {
    let skills = queue
        .requires
        .iter()
        .filter_map(|requirement| match requirement {
            Requirement::Skill(skill, level) => Some((skill.to_string(), level.0)),
            Requirement::Language(..) => None,
        });
    let languages = queue
        .requires
        .iter()
        .filter_map(|requirement| match requirement {
            Requirement::Language(language, level) => Some((language.to_string(), level.0)),
            Requirement::Skill(..) => None,
        });
    page.inline("skills", skills);
    page.inline("languages", languages);
    page.text("urgency", word_of(URGENCY, &queue.urgency));
    page.text("strategy", word_of(STRATEGY, &queue.strategy));
    page.plain("waiting_max", queue.waiting_max);
    page.plain("paused", queue.paused);
    page.text(
        "on_agent_lost",
        word_of(ON_AGENT_LOST, &queue.on_agent_lost),
    );
    page.text("wrap_up", word_of(WRAP_UP, &queue.wrap_up));
    page.time("boost_max", queue.boost_ms_max);
    let level = &queue.service_level;
    page.inline(
        "service_level",
        [
            (
                "within".to_owned(),
                quoted(&duration_text(level.threshold_ms)),
            ),
            (
                "target".to_owned(),
                quoted(&share_text(level.target_permille)),
            ),
            (
                "definition".to_owned(),
                quoted(word_of(DEFINITION, &level.definition)),
            ),
        ],
    );
    timers(page, &queue.timers);
    for (key, text) in [
        ("greeting", &queue.texts.greeting),
        ("full", &queue.texts.full),
        ("paused", &queue.texts.paused),
        ("nobody_staffed", &queue.texts.nobody_staffed),
    ] {
        page.dotted(format!("texts.{key}"), text);
    }
}

fn timers(page: &mut Page, timers: &Timers) {
    page.plain("timers.misses_max", timers.misses_max);
    for (key, ms) in [
        ("offer", timers.offer_ms),
        ("back_off", timers.back_off_ms),
        ("back_off_max", timers.back_off_ms_max),
        ("first_reply_warn", timers.first_reply_warn_ms),
        ("first_reply_reclaim", timers.first_reply_reclaim_ms),
        ("silent_warn", timers.silent_warn_ms),
        ("silent_hold", timers.silent_hold_ms),
        ("agent_lost", timers.agent_lost_ms),
        ("prefer", timers.prefer_ms),
        ("wrap_up", timers.wrap_up_ms),
        ("hold_close", timers.hold_close_ms),
    ] {
        page.dotted(format!("timers.{key}"), &duration_text(ms));
    }
}

fn agent(page: &mut Page, agent: &AgentPlan) {
    page.text("name", &agent.display_name);
    page.text("site", agent.site.as_str());
    page.text("cell", &agent.cell);
    page.plain("capacity", agent.capacity);
    page.inline(
        "skills",
        agent
            .skills
            .iter()
            .map(|(skill, level)| (skill.to_string(), level.0)),
    );
    page.inline(
        "languages",
        agent
            .languages
            .iter()
            .map(|(language, level)| (language.to_string(), level.0)),
    );
    if !agent.count_max.is_empty() {
        page.inline(
            "count_max",
            agent
                .count_max
                .iter()
                .map(|(channel, count)| (channel.to_string(), *count)),
        );
    }
    page.text("team", &agent.team);
}

/// A value as the text has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, a number or a truth, in its TOML form.
    Plain(String),
    /// An inline table, its keys and values in their TOML form.
    Inline(Vec<(String, String)>),
}

/// A header with the keys below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The first word of the header; empty for the keys before the first one.
    pub(super) kind: &'static str,
    /// The second word: which queue, which agent; empty where there is none.
    pub(super) name: String,
    /// Keys in their TOML form, in order.
    pub(super) pairs: Vec<(String, Value)>,
}

/// The sections so far; the keys before the first header are the first one.
struct Page(Vec<Section>);

impl Page {
    fn begin(kind: &'static str, name: &str) -> Section {
        Section {
            kind,
            name: name.to_owned(),
            pairs: Vec::new(),
        }
    }

    fn header(&mut self, kind: &'static str, name: &str) {
        self.0.push(Self::begin(kind, name));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.pair(bare_or_quoted(key), Value::Plain(quoted(text)));
    }

    fn time(&mut self, key: &str, ms: u64) {
        self.text(key, &duration_text(ms));
    }

    /// A text under a dotted key.
    fn dotted(&mut self, key: String, text: &str) {
        self.pair(key, Value::Plain(quoted(text)));
    }

    fn plain(&mut self, key: &str, value: impl Display) {
        self.pair(key.to_owned(), Value::Plain(value.to_string()));
    }

    fn inline<V: Display>(&mut self, key: &str, values: impl IntoIterator<Item = (String, V)>) {
        let values = values
            .into_iter()
            .map(|(key, value)| (bare_or_quoted(&key), value.to_string()));
        self.pair(key.to_owned(), Value::Inline(values.collect()));
    }

    fn pair(&mut self, key: String, value: Value) {
        if let Some(section) = self.0.last_mut() {
            section.pairs.push((key, value));
        }
    }
}

fn print(text: &mut String, section: &Section) {
    let name = bare_or_quoted(&section.name);
    match (section.kind, section.name.is_empty()) {
        ("", _) => {}
        (INTAKE, _) => text.push_str("\n[[intake]]\n"),
        (kind, true) => text.push_str(&format!("\n[{kind}]\n")),
        (kind, false) => text.push_str(&format!("\n[{kind}.{name}]\n")),
    }
    for (key, value) in &section.pairs {
        text.push_str(&format!("{key} = {value}\n"));
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = match self {
            Self::Plain(value) => return f.write_str(value),
            Self::Inline(pairs) if pairs.is_empty() => return f.write_str("{}"),
            Self::Inline(pairs) => pairs.iter().map(|(key, value)| format!("{key} = {value}")),
        };
        write!(f, "{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
    }
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(is_bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A basic string: quotes, backslashes and control characters escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            letter if letter.is_control() => {
                write!(quoted, "\\U{:08X}", u32::from(letter))
                    .expect("writing to a String does not fail");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
