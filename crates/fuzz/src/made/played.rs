//! Two short histories on the sample plan.
//! Promise: conversations stand in several phases at the end; every kind of command is among the entries.
//! Not here: the bytes (`made`).

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::archive::ArchivedUpto;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{
    Accept, Actor, Assign, Close, Command, CustomerPresence, Decline, Entry, HandOff, Instance,
    Intent, LeaderStarted, Lease, LeaseState, LogIn, LogOut, Note, OfferRef, Open, OwnerAct,
    QueueAct, Rate, Release, Requeue, Send, SetIntent, Target, Transfer,
};
use domain::cell::conversation::{Conversation, Phase};
use domain::cell::homes::{BucketSet, HeldBuckets};
use domain::cell::version::NEWEST_VERSION;
use domain::control::command::{
    Addresses, ApplyPlan, ClusterId, ControlCommand, CreateCell, Found, Join, NodeAddress,
    PlaceCell, Profile, RemoveNode, SiteProfile,
};
use domain::control::placement::cell_members;
use domain::control::{Bucket, Control, ControlEntry};
use domain::ids::{
    Body, CellId, CellTime, ConversationId, IdError, LogIndex, MachineVersion, NodeId, OwnerEpoch,
    PlanVersion, RequestId, Session,
};
use domain::plan::{FloorPlan, VersionedPlan};
use wire::cell::Applier;

const AGENTS: [&str; 4] = ["li-wei", "wang-fang", "grace-miller", "anna-becker"];
/// Unix milliseconds at the start.
const WALL_MS: u64 = 1_700_000_000_000;

fn id<T: std::str::FromStr<Err = IdError>>(text: &str) -> T {
    text.parse().expect("it is well formed")
}

fn request(number: u64) -> RequestId {
    id_of_request(&format!("00000000-0000-4000-8000-{number:012x}"))
}

fn id_of_request(text: &str) -> RequestId {
    RequestId::new(text).expect("it is well formed")
}

fn sample() -> Arc<FloorPlan> {
    Arc::new(wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault"))
}

/// A cell and the entries that made it.
#[derive(Default)]
struct Play {
    cell: Option<Cell>,
    applier: Applier,
    entries: Vec<Entry>,
}

impl Play {
    fn cell(&mut self) -> &mut Cell {
        self.cell.get_or_insert_with(|| Cell::new(CellId(1)))
    }

    fn step(&mut self, command: Command) {
        let index = self.entries.len() as u64 + 1;
        let entry = Entry {
            at: CellTime(index * 1_500),
            wall_ms: WALL_MS + index * 1_500,
            command,
        };
        self.cell();
        if let Some(cell) = &mut self.cell {
            self.applier.apply(cell, LogIndex(index), &entry);
        }
        self.entries.push(entry);
    }

    fn request(&self) -> RequestId {
        request(self.entries.len() as u64)
    }

    fn session(&mut self, agent: &str) -> Session {
        let agent = self.cell().state().agent(&id(agent));
        agent.and_then(|agent| agent.session).unwrap_or(Session(1))
    }

    fn conversations(&mut self) -> Vec<Arc<Conversation>> {
        self.cell().state().conversations().cloned().collect()
    }

    fn offered(&mut self) -> Option<(OfferRef, OwnerEpoch)> {
        self.conversations()
            .iter()
            .find_map(|found| match &found.phase {
                Phase::Offered(offer) => Some((
                    OfferRef {
                        offer: offer.id,
                        agent: offer.agent.clone(),
                        session: offer.session,
                    },
                    found.owner_epoch,
                )),
                _ => None,
            })
    }

    /// The nth conversation that an agent owns, with its owner.
    fn owned(&mut self, nth: usize) -> Option<(ConversationId, Actor)> {
        let all = self.conversations();
        let found = all
            .iter()
            .filter(|found| found.phase.owner().is_some())
            .nth(nth)?;
        let agent = found.phase.owner()?.clone();
        let session = self.session(agent.as_str());
        let by = Actor::Agent {
            agent,
            session,
            owner_epoch: found.owner_epoch,
        };
        Some((found.id, by))
    }
}

/// A conversation asked for: the number says in which language and from whom.
fn open(request_id: RequestId, number: u64) -> Command {
    Command::Open(Open {
        request_id,
        account: id("web-cn"),
        customer: id(&format!("customer-{}", number % 5)),
        display_name: "小明".to_owned(),
        site: id("fra"),
        queue: None,
        language: Some(id(if number.is_multiple_of(2) { "zh" } else { "en" })),
        topics: vec!["酒店".to_owned(), "buses".to_owned()],
        boost_ms: number * 100,
        bot_first: number % 7 == 6,
        body: (number % 3 != 2).then(|| Body::clear("你好")),
        sent_ms: number,
        instance: None,
        previous: None,
    })
}

/// A cell with conversations in several phases, and its entries.
pub fn cell_history() -> (Cell, Vec<Entry>) {
    let mut play = Play::default();
    begin(&mut play);
    for number in 0..9 {
        play.step(open(play.request(), number));
        talk(&mut play, number);
    }
    act(&mut play);
    end(&mut play);
    let cell = play.cell().clone();
    (cell, play.entries)
}

fn begin(play: &mut Play) {
    play.step(Command::LeaderStarted(LeaderStarted {
        wall_ms: WALL_MS,
        without_leader_ms: 0,
        after_restart_of_all: false,
    }));
    play.step(Command::RaiseVersion(NEWEST_VERSION));
    play.step(Command::AdoptPlan(VersionedPlan {
        version: PlanVersion(1),
        plan: sample(),
    }));
    for agent in AGENTS {
        play.step(Command::LogIn(LogIn {
            agent: id(agent),
            request_id: play.request(),
            device: id("device-1"),
            session: None,
            intent: Intent::Ready,
            site: id("iad"),
        }));
    }
    let mut set = BucketSet::default();
    set.add(Bucket::numbered(17).expect("it is below the bound"));
    play.step(Command::HoldBuckets(Arc::new(HeldBuckets {
        regions: BTreeMap::from([(id("nowhere"), set)]),
        others: true,
    })));
}

/// An answer to the offer, if there is one, and a message.
fn talk(play: &mut Play, number: u64) {
    if let Some((offer, owner_epoch)) = play.offered() {
        let request_id = play.request();
        play.step(match number % 4 {
            3 => Command::Decline(Decline {
                request_id,
                offer,
                reason: "busy".to_owned(),
            }),
            2 => Command::OfferShown(offer),
            _ => Command::Accept(Accept {
                request_id,
                offer,
                owner_epoch,
            }),
        });
    }
    let Some(last) = play.conversations().last().cloned() else {
        return;
    };
    play.step(Command::Send(Send {
        conversation: last.id,
        request_id: play.request(),
        author: Actor::Customer,
        body: Body::clear("hello"),
        sent_ms: number,
        instance: Some(Instance {
            device: id("phone"),
            counter: number,
        }),
    }));
}

/// Acts of owners.
fn act(play: &mut Play) {
    let acts: [fn(OwnerAct) -> Command; 3] =
        [Command::Hold, Command::Resume, Command::FinishWrapUp];
    for make in acts {
        if let Some((conversation, by)) = play.owned(0) {
            let request_id = play.request();
            play.step(make(OwnerAct {
                conversation,
                request_id,
                by,
            }));
        }
    }
    if let Some((conversation, by)) = play.owned(1) {
        let request_id = play.request();
        play.step(Command::Note(Note {
            conversation,
            request_id,
            author: by.clone(),
            body: Body::clear("a remark"),
        }));
        play.step(Command::Transfer(Transfer {
            conversation,
            request_id: play.request(),
            by,
            target: Target::Queue(id("travel-en")),
            note: Some(Body::clear("please go on")),
        }));
    }
}

/// Ends, and what the leader writes.
fn end(play: &mut Play) {
    for (nth, wrap_up) in [(0, false), (0, true)] {
        if let Some((conversation, by)) = play.owned(nth) {
            play.step(Command::Close(Close {
                conversation,
                request_id: play.request(),
                by,
                reason: "done".to_owned(),
                wrap_up,
            }));
        }
    }
    let closed = play
        .conversations()
        .into_iter()
        .find(|found| found.phase.is_over());
    if let Some(closed) = closed {
        play.step(Command::Rate(Rate {
            conversation: closed.id,
            request_id: play.request(),
            score: 5,
            comment: "谢谢".to_owned(),
        }));
    }
    play.step(Command::tick());
    play.step(Command::MatchMore);
    let mark = play.cell().state().meta().chain;
    play.step(Command::Checkpoint(Mark {
        index: LogIndex(play.entries.len() as u64),
        log: Digest([7; 16]),
        machine: mark,
    }));
}

fn queue_act() -> QueueAct {
    QueueAct {
        queue: id("travel-en"),
        request_id: request(1),
        staff: id("mia"),
        reason: "maintenance".to_owned(),
    }
}

fn set_intent() -> SetIntent {
    SetIntent {
        agent: id("li-wei"),
        request_id: request(2),
        session: Some(Session(4)),
        staff: None,
        intent: Intent::NotReady {
            reason: "lunch".to_owned(),
        },
        why: String::new(),
    }
}

/// Commands that the history has no occasion for.
pub fn other_commands() -> Vec<Entry> {
    let conversation = ConversationId {
        cell: CellId(1),
        index: LogIndex(9),
    };
    let set = set_intent();
    let (staff, reason) = (id("mia"), "a second look".to_owned());
    let commands = vec![
        Command::SetIntent(set.clone()),
        Command::SetNextStatus(set),
        Command::PauseQueue(queue_act()),
        Command::ResumeQueue(queue_act()),
        Command::CustomerPresence(CustomerPresence {
            conversation,
            attached: true,
            our_fault: false,
        }),
        Command::HandOff(HandOff {
            conversation,
            request_id: request(3),
            owner_epoch: OwnerEpoch(1),
        }),
        Command::LogOut(LogOut {
            agent: id("li-wei"),
            request_id: request(4),
            session: Session(4),
            device: None,
        }),
        Command::Lease(Lease {
            agent: id("li-wei"),
            session: Session(4),
            state: LeaseState::Lost,
            our_fault: true,
        }),
        Command::Release(Release {
            conversation,
            request_id: request(5),
            staff: id("mia"),
            reason: "seen".to_owned(),
        }),
        Command::Requeue(Requeue {
            conversation,
            request_id: request(6),
            staff: id("mia"),
            reason: "seen".to_owned(),
        }),
        Command::Assign(Assign {
            conversation,
            request_id: request(7),
            staff,
            agent: id("wang-fang"),
            wait: true,
            reason,
        }),
        Command::ArchivedUpto(ArchivedUpto {
            upto: LogIndex(20),
            count: 1,
            day: 20_454,
            keep_from_day: 20_400,
            digest: Digest([9; 16]),
        }),
    ];
    let entry = |command| Entry {
        at: CellTime(500_000),
        wall_ms: WALL_MS,
        command,
    };
    commands.into_iter().map(entry).collect()
}

fn join(node: &str, site: &str) -> Join {
    Join {
        request_id: id_of_request(node),
        node: id(node),
        site: SiteProfile {
            site: id(site),
            time_zone: "Europe/Berlin".to_owned(),
        },
        addresses: Addresses {
            peer: format!("{node}:1"),
            api: format!("{node}:2"),
        },
        profile: Profile::Regional,
        program: "0.1.0".to_owned(),
        machine: NEWEST_VERSION,
    }
}

fn founding() -> ControlCommand {
    let first = join("fra-n1", "fra");
    ControlCommand::Found(Found {
        cluster: ClusterId::new("c-1").expect("it is well formed"),
        cluster_name: "demo".to_owned(),
        profile: first.profile,
        node: first.node,
        site: first.site,
        addresses: first.addresses,
        program: first.program,
        machine: first.machine,
    })
}

/// A control group with three sites, a cell and a plan, and its entries.
pub fn control_history() -> (Control, Vec<ControlEntry>) {
    let mut control = Control::new();
    let mut entries = Vec::new();
    let members = |control: &Control| cell_members(control.parts());
    let commands: [&dyn Fn(&Control) -> ControlCommand; 9] = [
        &|_| founding(),
        &|_| ControlCommand::Join(join("sha-n1", "sha")),
        &|_| ControlCommand::Join(join("iad-n1", "iad")),
        &|_| ControlCommand::Join(join("iad-n2", "iad")),
        &|control| {
            ControlCommand::CreateCell(CreateCell {
                request_id: request(1),
                by: id("op"),
                name: "main".to_owned(),
                home: id("fra"),
                members: members(control),
            })
        },
        &|_| ControlCommand::CellRunning { cell: CellId(1) },
        &|control| {
            ControlCommand::PlaceCell(PlaceCell {
                cell: CellId(1),
                members: members(control),
            })
        },
        &|_| {
            ControlCommand::NodeAddress(NodeAddress {
                node: NodeId(2),
                addresses: join("sha-n2", "sha").addresses,
                profile: Profile::Regional,
                program: "0.1.1".to_owned(),
                machine: MachineVersion(2),
            })
        },
        &|_| {
            ControlCommand::RemoveNode(RemoveNode {
                request_id: request(2),
                by: id("op"),
                node: NodeId(4),
            })
        },
    ];
    for command in commands {
        step(&mut control, &mut entries, command);
    }
    step(&mut control, &mut entries, &|_| {
        ControlCommand::ApplyPlan(ApplyPlan {
            request_id: request(3),
            by: id("op"),
            expected: PlanVersion(0),
            plan: sample(),
        })
    });
    (control, entries)
}

fn step(
    control: &mut Control,
    entries: &mut Vec<ControlEntry>,
    command: &dyn Fn(&Control) -> ControlCommand,
) {
    let index = entries.len() as u64 + 1;
    let entry = ControlEntry {
        at: CellTime(index * 10),
        wall_ms: WALL_MS + index,
        command: command(control),
    };
    control.apply(LogIndex(index), &entry);
    entries.push(entry);
}
