//! Random histories of a cell on the sample plan, for the snapshot's claims.
//! Promise: the same numbers give the same history; every phase of a conversation is reached.
//! Not here: claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{
    Accept, Actor, Assign, Close, Command, CustomerPresence, Decline, Entry, HandOff, Instance,
    Intent, LeaderStarted, Lease, LeaseState, LogIn, Note, OfferRef, Open, OwnerAct, QueueAct,
    Rate, Requeue, Send, SetIntent, Target, Transfer,
};
use domain::cell::conversation::{Conversation, Phase};
use domain::cell::homes::{BucketSet, HeldBuckets};
use domain::cell::version::NEWEST_VERSION;
use domain::control::Bucket;
use domain::ids::{
    AgentId, Body, CellId, CellTime, LogIndex, OwnerEpoch, PlanVersion, RequestId, Session,
};
use domain::plan::{FloorPlan, VersionedPlan};

use crate::cell::Applier;

const AGENTS: [&str; 4] = ["li-wei", "wang-fang", "grace-miller", "anna-becker"];

/// A cell with the log that made it.
pub(super) struct History {
    pub(super) cell: Cell,
    applier: Applier,
    plan: Arc<FloorPlan>,
    index: u64,
    now: u64,
}

impl History {
    /// A cell with a leader and the sample plan.
    pub(super) fn new() -> Self {
        let plan = crate::floor::parse(crate::floor::SAMPLE).expect("the sample has no fault");
        let cell = Cell::new(CellId(1));
        let mut history = Self {
            cell,
            applier: Applier::default(),
            plan: Arc::new(plan),
            index: 0,
            now: 1_000,
        };
        let (wall_ms, without_leader_ms) = (1_700_000_000_000, 0);
        let after_restart_of_all = false;
        history.apply(Command::LeaderStarted(LeaderStarted {
            wall_ms,
            without_leader_ms,
            after_restart_of_all,
        }));
        history.adopt();
        history
    }

    /// One step: a number decides which command comes, about whom, and after how long.
    pub(super) fn step(&mut self, number: u64) {
        self.now += number % 7 * 1_900;
        let (kind, pick) = (number >> 8 & 31, number >> 16);
        let agent = AGENTS[(pick % 4) as usize];
        let command = match kind {
            0..=4 => self.open(pick),
            5..=8 => self.send(pick),
            9 | 10 => self.log_in(agent),
            11..=14 => self.accept(pick),
            15 => self.decline(pick),
            16 => self.owner_act(pick, Command::Hold),
            17 => self.owner_act(pick, Command::Resume),
            18 => self.owner_act(pick, Command::FinishWrapUp),
            19 => self.transfer(pick),
            20 | 21 => self.close(pick),
            22 => self.presence(pick),
            23 => self.rate(pick),
            24 => self.note(pick),
            25 => self.intent(agent, pick),
            26 => self.lease(agent, pick),
            27 => self.hand_off(pick),
            28 if pick.is_multiple_of(7) => Some(Command::RaiseVersion(NEWEST_VERSION)),
            28 if pick.is_multiple_of(5) => Some(hold_buckets(pick)),
            28 if pick.is_multiple_of(3) => Some(self.checkpoint(pick)),
            28 => Some(Command::MatchMore),
            29 if pick.is_multiple_of(5) => return self.adopt(),
            30 => self.supervise(agent, pick),
            _ => Some(Command::tick()),
        };
        if let Some(command) = command {
            self.apply(command);
        }
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let entry = Entry {
            at: CellTime(self.now),
            wall_ms: 1_700_000_000_000 + self.now,
            command,
        };
        let index = LogIndex(self.index);
        self.applier.apply(&mut self.cell, index, &entry);
    }

    fn checkpoint(&self, pick: u64) -> Command {
        Command::Checkpoint(Mark {
            index: LogIndex(self.index),
            log: Digest([pick as u8; 16]),
            machine: self.cell.state().meta().chain,
        })
    }

    fn adopt(&mut self) {
        let version = PlanVersion(self.index + 1);
        self.apply(Command::AdoptPlan(VersionedPlan {
            version,
            plan: self.plan.clone(),
        }));
    }

    fn request(&self) -> RequestId {
        RequestId::new(&format!("00000000-0000-4000-8000-{:012x}", self.index))
            .expect("well formed")
    }

    fn any(&self, pick: u64, fits: impl Fn(&Conversation) -> bool) -> Option<Arc<Conversation>> {
        let found: Vec<_> = self
            .cell
            .state()
            .conversations()
            .filter(|found| fits(found))
            .cloned()
            .collect();
        let at = pick.checked_rem(found.len() as u64)?;
        found.get(at as usize).cloned()
    }

    fn session(&self, agent: &AgentId) -> Option<Session> {
        self.cell.state().agent(agent)?.session
    }

    fn owner(&self, conversation: &Conversation) -> Option<Actor> {
        let agent = conversation.phase.owner()?.clone();
        let session = self.session(&agent)?;
        Some(Actor::Agent {
            agent,
            session,
            owner_epoch: conversation.owner_epoch,
        })
    }

    fn open(&self, pick: u64) -> Option<Command> {
        let language = if pick.is_multiple_of(2) { "zh" } else { "en" };
        Some(Command::Open(Open {
            request_id: self.request(),
            account: "web-cn".parse().expect("well formed"),
            customer: format!("customer-{}", pick % 23)
                .parse()
                .expect("well formed"),
            display_name: "小明".to_owned(),
            site: "fra".parse().expect("well formed"),
            queue: None,
            language: Some(language.parse().expect("well formed")),
            topics: vec!["酒店".to_owned(), "buses".to_owned()],
            boost_ms: pick % 100_000,
            bot_first: pick % 11 == 3,
            body: (!pick.is_multiple_of(3)).then(|| Body::clear("你好")),
            sent_ms: pick,
            instance: None,
            previous: None,
        }))
    }

    fn send(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |_| true)?;
        let author = self
            .owner(&conversation)
            .filter(|_| pick.is_multiple_of(2))
            .unwrap_or(Actor::Customer);
        Some(Command::Send(Send {
            conversation: conversation.id,
            request_id: self.request(),
            author,
            body: Body::clear("hello"),
            sent_ms: pick,
            instance: Some(Instance {
                device: "phone".parse().expect("well formed"),
                counter: pick,
            }),
        }))
    }

    fn log_in(&self, agent: &str) -> Option<Command> {
        let agent: AgentId = agent.parse().expect("well formed");
        let session = self.session(&agent);
        Some(Command::LogIn(LogIn {
            request_id: self.request(),
            device: format!("device-{}", self.index % 3)
                .parse()
                .expect("well formed"),
            session,
            intent: Intent::Ready,
            site: "iad".parse().expect("well formed"),
            agent,
        }))
    }

    fn offered(&self, pick: u64) -> Option<(OfferRef, OwnerEpoch)> {
        let conversation = self.any(pick, |found| matches!(found.phase, Phase::Offered(_)))?;
        let Phase::Offered(offer) = &conversation.phase else {
            return None;
        };
        let offer = OfferRef {
            offer: offer.id,
            agent: offer.agent.clone(),
            session: offer.session,
        };
        Some((offer, conversation.owner_epoch))
    }

    fn accept(&self, pick: u64) -> Option<Command> {
        let (offer, owner_epoch) = self.offered(pick)?;
        if pick % 5 == 4 {
            return Some(Command::OfferShown(offer));
        }
        Some(Command::Accept(Accept {
            request_id: self.request(),
            offer,
            owner_epoch,
        }))
    }

    fn decline(&self, pick: u64) -> Option<Command> {
        let (offer, _) = self.offered(pick)?;
        Some(Command::Decline(Decline {
            request_id: self.request(),
            offer,
            reason: "busy".to_owned(),
        }))
    }

    fn owner_act(&self, pick: u64, command: fn(OwnerAct) -> Command) -> Option<Command> {
        let conversation = self.any(pick, |found| found.phase.owner().is_some())?;
        let by = self.owner(&conversation)?;
        Some(command(OwnerAct {
            conversation: conversation.id,
            request_id: self.request(),
            by,
        }))
    }

    fn transfer(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |found| found.phase.owner().is_some())?;
        let target = match pick % 3 {
            0 => Target::Queue("travel-en".parse().expect("well formed")),
            wait => Target::Agent {
                agent: "wang-fang".parse().expect("well formed"),
                wait: wait == 1,
            },
        };
        Some(Command::Transfer(Transfer {
            conversation: conversation.id,
            request_id: self.request(),
            by: self.owner(&conversation)?,
            target,
            note: Some(Body::clear("please go on")),
        }))
    }

    fn close(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |_| true)?;
        let by = self
            .owner(&conversation)
            .filter(|_| !pick.is_multiple_of(4))
            .unwrap_or(Actor::Customer);
        Some(Command::Close(Close {
            conversation: conversation.id,
            request_id: self.request(),
            by,
            reason: "done".to_owned(),
            wrap_up: true,
        }))
    }

    fn presence(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |_| true)?.id;
        let (attached, our_fault) = (pick.is_multiple_of(3), pick.is_multiple_of(2));
        Some(Command::CustomerPresence(CustomerPresence {
            conversation,
            attached,
            our_fault,
        }))
    }

    fn rate(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |found| found.phase.is_over())?.id;
        let (score, comment) = ((pick % 5) as u32 + 1, "谢谢".to_owned());
        Some(Command::Rate(Rate {
            conversation,
            request_id: self.request(),
            score,
            comment,
        }))
    }

    fn note(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |_| true)?;
        let staff = Actor::Staff {
            staff: "sue".parse().expect("well formed"),
        };
        let author = self.owner(&conversation).unwrap_or(staff);
        let (conversation, body) = (conversation.id, Body::clear("a remark"));
        Some(Command::Note(Note {
            conversation,
            request_id: self.request(),
            author,
            body,
        }))
    }

    fn intent(&self, agent: &str, pick: u64) -> Option<Command> {
        let agent: AgentId = agent.parse().expect("well formed");
        let session = Some(self.session(&agent)?);
        let intent = match pick % 3 {
            0 => Intent::NotReady {
                reason: "lunch".to_owned(),
            },
            _ => Intent::Ready,
        };
        let set = SetIntent {
            agent,
            request_id: self.request(),
            session,
            staff: None,
            intent,
            why: String::new(),
        };
        Some(if pick.is_multiple_of(2) {
            Command::SetIntent(set)
        } else {
            Command::SetNextStatus(set)
        })
    }

    fn supervise(&self, agent: &str, pick: u64) -> Option<Command> {
        let agent: AgentId = agent.parse().expect("well formed");
        let (request_id, staff) = (self.request(), "mia".parse().expect("well formed"));
        let reason = "a second look".to_owned();
        let queue_act = || QueueAct {
            queue: "travel-en".parse().expect("well formed"),
            request_id: self.request(),
            staff: "mia".parse().expect("well formed"),
            reason: "maintenance".to_owned(),
        };
        let conversation = self.any(pick, |found| !found.phase.is_over())?.id;
        Some(match pick % 6 {
            0 => Command::Requeue(Requeue {
                conversation,
                request_id,
                staff,
                reason,
            }),
            1 | 2 => Command::Assign(Assign {
                conversation,
                request_id,
                staff,
                agent,
                wait: pick.is_multiple_of(2),
                reason,
            }),
            3 => Command::PauseQueue(queue_act()),
            4 => Command::ResumeQueue(queue_act()),
            _ => Command::SetIntent(SetIntent {
                agent,
                request_id,
                session: None,
                staff: Some(staff),
                intent: Intent::NotReady {
                    reason: "tea".to_owned(),
                },
                why: reason,
            }),
        })
    }

    fn lease(&self, agent: &str, pick: u64) -> Option<Command> {
        let agent: AgentId = agent.parse().expect("well formed");
        let session = self.session(&agent)?;
        let state = match pick % 4 {
            0 => LeaseState::Suspect,
            1 => LeaseState::Lost,
            _ => LeaseState::Alive,
        };
        Some(Command::Lease(Lease {
            agent,
            session,
            state,
            our_fault: pick.is_multiple_of(2),
        }))
    }

    fn hand_off(&self, pick: u64) -> Option<Command> {
        let conversation = self.any(pick, |found| found.phase == Phase::Bot)?;
        let (owner_epoch, conversation) = (conversation.owner_epoch, conversation.id);
        Some(Command::HandOff(HandOff {
            conversation,
            request_id: self.request(),
            owner_epoch,
        }))
    }
}

/// One bucket of one region, and all of the regions that nobody names.
fn hold_buckets(pick: u64) -> Command {
    let number = u16::try_from(pick % 1_024).expect("below the bound");
    let mut set = BucketSet::default();
    set.add(Bucket::numbered(number).expect("below the bound"));
    Command::HoldBuckets(Arc::new(HeldBuckets {
        regions: BTreeMap::from([("nowhere".parse().expect("well formed"), set)]),
        others: true,
    }))
}
