//! Matching: which conversation is offered next, and to whom.
//! Promise: strict urgency, then age with boost, then log index; after it no free eligible agent
//! stands beside offerable work.
//! Not here: what an offer changes (`draft`, `evolve`).

use std::cell::Cell as Noted;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, btree_set};

use mutants::{Mutant, planted};

use super::capacity::can_take;
use super::classes::{Class, ClassId};
use super::conversation::{Conversation, Held, Phase};
use super::defects;
use super::derived::LineKey;
use super::receipts::{EXCLUSIONS_MAX, Exclusion, Found, Order};
use super::state::State;
use crate::ids::{AgentId, LogIndex, Session};

/// Matches that end one entry at most; more are left to `MatchMore`.
pub const MATCHES_MAX: usize = 64;

/// An agent for a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) agent: AgentId,
    pub(crate) session: Session,
    pub(crate) units: u32,
    pub(crate) found: Found,
    pub(crate) candidates: u32,
    pub(crate) excluded: Vec<(AgentId, Exclusion)>,
    pub(crate) excluded_more: u32,
    pub(crate) ordered: Option<Box<Order>>,
}

/// What one search found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The conversation that is next, with its agent.
    pub(crate) hit: Option<(LogIndex, Match)>,
    /// Classes in which nothing can be matched until something changes.
    pub(crate) closed: Vec<ClassId>,
    /// Agents in whose own line nothing can be matched until something changes.
    pub(crate) closed_lines: Vec<AgentId>,
}

/// The conversation under consideration, noted so that a defect finds its subject.
pub(crate) type Note = Noted<Option<LogIndex>>;

impl State {
    /// Whether a search is worth while.
    pub(crate) fn may_match(&self) -> bool {
        !self.derived.classes.open().is_empty() || !self.derived.own_lines_open.is_empty()
    }

    /// The next conversation to be offered, over all lines. Candidates are looked at in the order of
    /// their places, whatever line they stand in, so that a defect has the same subject on every replica.
    pub(crate) fn match_next(&self, note: &Note) -> Search {
        let mut search = Search::default();
        let mut lines = self.open_lines(&mut search);
        let mut heads: BinaryHeap<Reverse<(LineKey, usize)>> = BinaryHeap::new();
        for (at, line) in lines.iter_mut().enumerate() {
            line.step(at, &mut heads, &mut search);
        }
        while let Some(Reverse((key, at))) = heads.pop() {
            note.set(Some(key.index));
            let found = match lines[at].source {
                Source::Class(id, class) => self
                    .conversations
                    .get(&key.index)
                    .and_then(|conversation| self.pick(id, class, conversation)),
                Source::OwnLine(agent) => self
                    .fits_own_line(agent, key.index)
                    .then(|| (agent.clone(), Found::Preferred)),
            };
            if let Some((agent, found)) = found {
                search.hit = self
                    .explain(key.index, agent, found)
                    .map(|hit| (key.index, hit));
                return search;
            }
            lines[at].step(at, &mut heads, &mut search);
        }
        search
    }

    /// Lines in which something may be matched; classes without a free agent are closed at once.
    fn open_lines(&self, search: &mut Search) -> Vec<OpenLine<'_>> {
        let mut lines = Vec::new();
        for id in self.derived.classes.open() {
            match self.derived.classes.get(*id) {
                Some(class) if !class.free.is_empty() => lines.push(OpenLine {
                    source: Source::Class(*id, class),
                    keys: class.line.iter(),
                }),
                _ => search.closed.push(*id),
            }
        }
        for agent in &self.derived.own_lines_open {
            match self.derived.agents.get(agent) {
                Some(index) => lines.push(OpenLine {
                    source: Source::OwnLine(agent),
                    keys: index.own_line.iter(),
                }),
                None => search.closed_lines.push(agent.clone()),
            }
        }
        lines
    }

    /// The free agent of a class who gets a conversation.
    fn pick(
        &self,
        id: ClassId,
        class: &Class,
        conversation: &Conversation,
    ) -> Option<(AgentId, Found)> {
        defects::trip(
            defects::Spot::Matching,
            conversation.display_name.as_bytes(),
        );
        if self.is_paused(&conversation.queue) && !planted(Mutant::PauseForgotten) {
            return None;
        }
        let Phase::Queued(waiting) = &conversation.phase else {
            return None;
        };
        let passed = |agent: &AgentId| {
            conversation
                .passed_over
                .iter()
                .any(|passed| passed.agent == *agent)
        };
        if let Some(agent) = &waiting.prefer {
            let index = self.derived.agents.get(agent);
            let free = index.is_some_and(|index| matches!(index.stands_in.get(&id), Some(Some(_))));
            if free && !passed(agent) {
                return Some((agent.clone(), Found::Preferred));
            }
        }
        let mut asked = class.free.iter().filter(|key| !passed(&key.agent));
        let first = match planted(Mutant::OrderByHash) {
            true => mutants::first_by_hash(asked.clone().count()),
            false => 0,
        };
        let chosen = asked.nth(first)?;
        Some((chosen.agent.clone(), Found::ByStrategy(class.key.strategy)))
    }

    /// Whether an agent may take a conversation of the own line.
    fn fits_own_line(&self, name: &AgentId, index: LogIndex) -> bool {
        let (Some(found), Some(agent), Some(conversation)) = (
            self.derived.agents.get(name),
            self.agents.get(name),
            self.conversations.get(&index),
        ) else {
            return false;
        };
        defects::trip(
            defects::Spot::Matching,
            conversation.display_name.as_bytes(),
        );
        let passed = conversation
            .passed_over
            .iter()
            .any(|passed| passed.agent == *name);
        !passed
            && !self.is_paused(&conversation.queue)
            && can_take(self, agent, &found.load, &conversation.channel).is_ok()
    }

    /// The match with everything that its receipt tells.
    pub(crate) fn explain(&self, index: LogIndex, chosen: AgentId, found: Found) -> Option<Match> {
        let conversation = self.conversations.get(&index)?;
        let agent = self.agents.get(&chosen)?;
        let load = self
            .derived
            .agents
            .get(&chosen)
            .map(|found| found.load.clone())
            .unwrap_or_default();
        let plan = self.channel(&conversation.channel);
        let Others {
            candidates,
            excluded,
            excluded_more,
        } = self.others(conversation, found);
        // A wrong set of free agents must not take units that there are not; the step's defect sets
        // the conversation aside.
        assert!(
            found.is_by_name() || can_take(self, agent, &load, &conversation.channel).is_ok(),
            "{chosen} stands among the free agents and can take nothing"
        );
        Some(Match {
            session: agent.session?,
            agent: chosen,
            units: plan.cost * u32::from(!planted(Mutant::OfferWithoutUnits)),
            found,
            candidates,
            excluded,
            excluded_more,
            ordered: None,
        })
    }

    /// Free agents, and the logged-in eligible ones who were not considered with why.
    fn others(&self, conversation: &Conversation, found: Found) -> Others {
        let held =
            matches!(&conversation.phase, Phase::Queued(waiting) if waiting.held != Held::No);
        let (queue, channel) = (&conversation.queue, &conversation.channel);
        let class = self
            .derived
            .classes
            .cached(queue, channel, conversation.classed_by);
        let Some(class) = class.and_then(|id| self.derived.classes.get(id)) else {
            return Others::alone();
        };
        if found.is_by_name() || held {
            return Others::alone();
        }
        let passed = |agent: &AgentId| {
            conversation
                .passed_over
                .iter()
                .any(|passed| passed.agent == *agent)
        };
        let mut excluded = Vec::new();
        if !conversation.passed_over.is_empty() {
            let free = class.free.iter().filter(|key| passed(&key.agent));
            excluded.extend(free.map(|key| (key.agent.clone(), Exclusion::PassedOver)));
        }
        let candidates = class.free.len() - excluded.len();
        excluded.truncate(EXCLUSIONS_MAX);
        let room = EXCLUSIONS_MAX - excluded.len();
        excluded.reserve_exact(room.min(class.busy.len()));
        for name in class.busy.iter().take(room) {
            excluded.push((name.clone(), self.why_busy(name, channel)));
        }
        let all = class.free.len() - candidates + class.busy.len();
        Others {
            candidates: candidates as u32,
            excluded_more: (all - excluded.len()) as u32,
            excluded,
        }
    }

    fn why_busy(&self, name: &AgentId, channel: &crate::ids::ChannelId) -> Exclusion {
        let (agent, index) = (self.agents.get(name), self.derived.agents.get(name));
        let (Some(agent), Some(index)) = (agent, index) else {
            return Exclusion::Unreachable;
        };
        can_take(self, agent, &index.load, channel)
            .err()
            .unwrap_or(Exclusion::AtCapacity)
    }
}

/// Everybody else at one routing decision.
struct Others {
    candidates: u32,
    excluded: Vec<(AgentId, Exclusion)>,
    excluded_more: u32,
}

impl Others {
    /// Nobody else was looked at.
    fn alone() -> Self {
        Self {
            candidates: 1,
            excluded: Vec::new(),
            excluded_more: 0,
        }
    }
}

/// Where a line belongs.
#[derive(Clone, Copy)]
enum Source<'a> {
    Class(ClassId, &'a Class),
    OwnLine(&'a AgentId),
}

/// A line that is being searched from its head.
struct OpenLine<'a> {
    source: Source<'a>,
    keys: btree_set::Iter<'a, LineKey>,
}

impl OpenLine<'_> {
    /// Brings the next candidate of this line forward; at its end nothing can be matched in it.
    fn step(
        &mut self,
        at: usize,
        heads: &mut BinaryHeap<Reverse<(LineKey, usize)>>,
        search: &mut Search,
    ) {
        let next = match planted(Mutant::YoungestFirst) {
            true => self.keys.next_back(),
            false => self.keys.next(),
        };
        match (next, self.source) {
            (Some(key), _) => heads.push(Reverse((*key, at))),
            (None, Source::Class(id, _)) => search.closed.push(id),
            (None, Source::OwnLine(agent)) => search.closed_lines.push(agent.clone()),
        }
    }
}
