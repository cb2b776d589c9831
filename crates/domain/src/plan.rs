//! The floor plan: queues, skills, agents' profiles, channels and policies, one version.
//! Promise: a plan that `check` (in `control`) passed can be adopted by a cell without refusal.
//! Not here: the TOML form (`wire`), who adopts it when (`cell`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{
    AccountId, AgentId, ChannelId, LanguageId, PlanVersion, QueueId, SiteId, SkillId, TenantId,
};

/// A level of a skill or a language: 1 (some) to 5 (expert or native).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

/// Strict classes of urgency: a lower one waits for a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Before everything else.
    Emergency,
    /// The usual.
    Normal,
    /// When nothing else waits.
    Background,
}

/// How a queue picks among free eligible agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// The agent whose last handled conversation ended longest ago.
    LongestIdle,
    /// The agent with the lowest used / capacity; ties by longest idle.
    LeastLoad,
}

/// What happens to an active conversation whose agent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAgentLost {
    /// Wait for the agent.
    Hold,
    /// Back to its line with its age; the same agent is preferred if back in time.
    Requeue,
    /// Tell customer and supervisor, move nothing.
    Notify,
}

/// How after-contact work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapUpMode {
    /// The agent may finish at once; ends by itself after the limit.
    Optional,
    /// Only the agent ends it.
    Mandatory,
    /// Ends after the limit or when the agent finishes earlier.
    TimeBoxed,
    /// Ends after the limit, not earlier.
    TimeBoxedWithoutExit,
    /// Only where the agent asked for it.
    OnRequest,
}

/// Which of the six service-level definitions of the field a queue uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceLevelDefinition {
    /// (answered in + abandoned in) / (answered + abandoned).
    AbandonedInCount,
    /// Answered in / answered.
    AnsweredOnly,
    /// Answered in / (answered + abandoned).
    AllAbandonedAgainst,
    /// Answered in / (answered + abandoned after the threshold): the default.
    LateAbandonedAgainst,
    /// (answered in + short abandons) / (answered + abandoned).
    ShortAbandonedFor,
    /// Answered in / (answered + abandoned - short abandons).
    ShortAbandonedOut,
}

/// The timers of a queue, all in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    /// An offer lapses after this.
    pub offer_ms: u64,
    /// Offers missed in a row before an agent is Not Responding on the channel.
    pub misses_max: u32,
    /// The first pause after a missed offer; doubles.
    pub back_off_ms: u64,
    /// The longest pause after missed offers.
    pub back_off_ms_max: u64,
    /// No first reply of the agent: warn.
    pub first_reply_warn_ms: u64,
    /// No first reply of the agent: back to its place.
    pub first_reply_reclaim_ms: u64,
    /// Active, customer silent: warn.
    pub silent_warn_ms: u64,
    /// Active, customer silent: on hold.
    pub silent_hold_ms: u64,
    /// How long an agent may be silent before being lost, for conversations of this queue.
    pub agent_lost_ms: u64,
    /// A conversation requeued or come back waits this long for its preferred agent.
    pub prefer_ms: u64,
    /// After-contact work.
    pub wrap_up_ms: u64,
    /// On hold, then closed.
    pub hold_close_ms: u64,
}

/// One skill that work needs, at a level.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// A skill at this level or above.
    Skill(SkillId, Level),
    /// A language at this level or above.
    Language(LanguageId, Level),
}

/// A service-level objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceLevel {
    /// Answered within this many milliseconds counts as in.
    pub threshold_ms: u64,
    /// The share aimed at, in thousandths.
    pub target_permille: u32,
    /// How it is computed.
    pub definition: ServiceLevelDefinition,
}

/// Texts that a customer reads; whoever shows one shares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueTexts {
    /// Shown when the conversation enters the line.
    pub greeting: Arc<str>,
    /// Shown when the line is full.
    pub full: Arc<str>,
    /// Shown when the queue is paused.
    pub paused: Arc<str>,
    /// Shown when no agent that could serve is logged in.
    pub nobody_staffed: Arc<str>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePlan {
    /// What an agent must have; sorted, no repeats.
    pub requires: Vec<Requirement>,
    /// Its class.
    pub urgency: Urgency,
    /// How agents are picked.
    pub strategy: Strategy,
    /// More waiting than this and the queue is full.
    pub waiting_max: u32,
    /// Whether it takes and serves work.
    pub paused: bool,
    /// What happens when an agent is lost.
    pub on_agent_lost: OnAgentLost,
    /// How wrap-up ends.
    pub wrap_up: WrapUpMode,
    /// Timers.
    pub timers: Timers,
    /// Objective.
    pub service_level: ServiceLevel,
    /// Largest boost in milliseconds that a conversation of this queue may have.
    pub boost_ms_max: u64,
    /// Texts.
    pub texts: QueueTexts,
}

/// A kind of channel and what it costs an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPlan {
    /// Units of capacity that one conversation takes.
    pub cost: u32,
    /// Most conversations of this channel for one agent; `None` is no limit of its own.
    pub count_max: Option<u32>,
    /// Whether one conversation of this channel excludes all other work.
    pub exclusive: bool,
    /// A waiting customer gone this long has abandoned.
    pub gone_ms: u64,
    /// A customer gone while we were at fault gets this long.
    pub gone_our_fault_ms: u64,
    /// Abandoned sooner than this is a short abandon.
    pub short_abandon_ms: u64,
}

/// An account of a channel on which customers write in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPlan {
    /// Its channel.
    pub channel: ChannelId,
    /// The region whose buckets its customers fall into: a site.
    pub site: SiteId,
    /// The queue of a conversation for which no rule of the table fits.
    pub queue: QueueId,
    /// Boost in milliseconds of every conversation that begins here, as on a line for important
    /// customers; the queue caps it.
    pub boost_ms: u64,
}

/// A row of the table that finds a queue by language and topic; the first that fits wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeRule {
    /// Fits this language, or any.
    pub language: Option<LanguageId>,
    /// Fits when one of the conversation's topics is this, or any.
    pub topic: Option<String>,
    /// Then this queue.
    pub queue: QueueId,
    /// And this boost in milliseconds, beside the account's; the queue caps the sum.
    pub boost_ms: u64,
}

/// An agent's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPlan {
    /// The name that customers see.
    pub display_name: String,
    /// Where the agent sits.
    pub site: SiteId,
    /// The cell, by name, that decides the agent's capacity.
    pub cell: String,
    /// Units that the agent can hold.
    pub capacity: u32,
    /// Skills with levels.
    pub skills: BTreeMap<SkillId, Level>,
    /// Languages with levels.
    pub languages: BTreeMap<LanguageId, Level>,
    /// Most conversations per channel, where lower than the channel's own limit.
    pub count_max: BTreeMap<ChannelId, u32>,
    /// Free text for grouping.
    pub team: String,
}

/// A site, as the plan knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePlan {
    /// The name that people read.
    pub display_name: String,
    /// IANA time zone.
    pub time_zone: String,
}

/// Leases and limits that hold for the whole floor, in milliseconds where named so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorPolicy {
    /// Agents' clients report this often.
    pub heartbeat_ms: u64,
    /// Silent this long: Suspect.
    pub suspect_ms: u64,
    /// Silent this long without a conversation whose queue says otherwise: Lost.
    pub lost_ms: u64,
    /// Lost when the agent's site is down.
    pub lost_site_down_ms: u64,
    /// Commands of one customer in `customer_window_ms` before they are refused; 0 lifts the limit.
    pub customer_commands_max: u32,
    /// The window of that limit.
    pub customer_window_ms: u64,
    /// Offers of a queue expired within 60 s from which agents' states stop changing.
    pub expiry_spike_min: u32,
    /// Share of a queue's offers, in thousandths, from which they do.
    pub expiry_spike_permille: u32,
}

/// One version of the floor plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorPlan {
    /// The tenant; `default` until there are several.
    pub tenant: TenantId,
    /// Sites.
    pub sites: BTreeMap<SiteId, SitePlan>,
    /// Known skills with what they mean.
    pub skills: BTreeMap<SkillId, String>,
    /// Known languages with their names.
    pub languages: BTreeMap<LanguageId, String>,
    /// Channels.
    pub channels: BTreeMap<ChannelId, ChannelPlan>,
    /// Accounts.
    pub accounts: BTreeMap<AccountId, AccountPlan>,
    /// Intake table, in order.
    pub intake: Vec<IntakeRule>,
    /// Queues.
    pub queues: BTreeMap<QueueId, QueuePlan>,
    /// Agents.
    pub agents: BTreeMap<AgentId, AgentPlan>,
    /// Leases and limits.
    pub policy: FloorPolicy,
}

/// A plan with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedPlan {
    /// Its version; versions only grow.
    pub version: PlanVersion,
    /// Its content.
    pub plan: std::sync::Arc<FloorPlan>,
}

impl ChannelPlan {
    /// Chat on the web, and every channel whose name says nothing else.
    pub const WEB: Self = Self {
        cost: 25,
        count_max: None,
        exclusive: false,
        gone_ms: 120_000,
        gone_our_fault_ms: 600_000,
        short_abandon_ms: 10_000,
    };

    /// The defaults of a channel of this name, by the domain's timer table: `web`, `app`, `voice` and
    /// `email` have their own, all others those of `web`.
    pub fn usual(name: &str) -> Self {
        match name {
            // A phone loses its network more often than a browser.
            "app" => Self {
                gone_ms: 600_000,
                ..Self::WEB
            },
            "voice" => Self {
                cost: 100,
                exclusive: true,
                short_abandon_ms: 5_000,
                ..Self::WEB
            },
            // Who wrote a mail is never there while it waits: the longest timer that there is.
            "email" => Self {
                cost: 10,
                gone_ms: 604_800_000,
                gone_our_fault_ms: 604_800_000,
                ..Self::WEB
            },
            _ => Self::WEB,
        }
    }
}

impl Default for Timers {
    /// The defaults of the domain's timer table.
    fn default() -> Self {
        Self {
            offer_ms: 20_000,
            misses_max: 2,
            back_off_ms: 10_000,
            back_off_ms_max: 60_000,
            first_reply_warn_ms: 60_000,
            first_reply_reclaim_ms: 120_000,
            silent_warn_ms: 180_000,
            silent_hold_ms: 600_000,
            agent_lost_ms: 60_000,
            prefer_ms: 30_000,
            wrap_up_ms: 60_000,
            hold_close_ms: 86_400_000,
        }
    }
}

impl Default for FloorPolicy {
    /// The defaults of the domain's timer table and of the design's limits.
    fn default() -> Self {
        Self {
            heartbeat_ms: 5_000,
            suspect_ms: 15_000,
            lost_ms: 60_000,
            lost_site_down_ms: 15_000,
            customer_commands_max: 16,
            customer_window_ms: 10_000,
            expiry_spike_min: 10,
            expiry_spike_permille: 300,
        }
    }
}

impl Default for ServiceLevel {
    /// 80 % within 20 s by the default definition.
    fn default() -> Self {
        Self {
            threshold_ms: 20_000,
            target_permille: 800,
            definition: ServiceLevelDefinition::LateAbandonedAgainst,
        }
    }
}
