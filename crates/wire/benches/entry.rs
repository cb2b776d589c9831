//! What storing and reading one message costs, and a snapshot per conversation.
//! Promise: the sizes of the throughput benchmark: 256-byte texts, UUID request ids.
//! Not here: the log (`store`), the machine (`domain`).
#![allow(missing_docs, reason = "criterion's macros make a public function")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::cell::Cell;
use domain::cell::command::{Actor, Command, Entry, Instance, Open, Send};
use domain::cell::version::NEWEST_VERSION;
use domain::ids::{
    Body, CellId, CellTime, ConversationId, LogIndex, OwnerEpoch, PlanVersion, RequestId, Session,
};
use domain::plan::VersionedPlan;
use wire::cell::Applier;
use wire::snapshot::{CellChunks, decode_cell};

fn request(n: u64) -> RequestId {
    RequestId::new(&format!("6f1c2d3e-0000-4abc-8def-{n:012x}")).expect("well formed")
}

fn send(author: Actor, bytes: usize) -> Entry {
    let id = ConversationId {
        cell: CellId(1),
        index: LogIndex(123_456),
    };
    let command = Command::Send(Send {
        conversation: id,
        request_id: request(7),
        author,
        body: Body::clear(&"x".repeat(bytes)),
        sent_ms: 1_700_000_000_000,
        instance: Some(Instance {
            device: "5b1d3c2a-1111-4abc-8def-0123456789ab"
                .parse()
                .expect("well formed"),
            counter: 42,
        }),
    });
    Entry {
        at: CellTime(123_456_789),
        wall_ms: 1_700_000_000_000,
        command,
    }
}

fn open(n: u64) -> Entry {
    let command = Command::Open(Open {
        request_id: request(n),
        account: "web-cn".parse().expect("well formed"),
        customer: format!("customer-{n}").parse().expect("well formed"),
        display_name: "Ming".to_owned(),
        site: "sha".parse().expect("well formed"),
        queue: None,
        language: Some("zh".parse().expect("well formed")),
        topics: Vec::new(),
        boost_ms: 0,
        bot_first: false,
        body: Some(Body::clear(&"x".repeat(256))),
        sent_ms: 0,
        instance: None,
        previous: None,
    });
    Entry {
        at: CellTime(n),
        wall_ms: 1_700_000_000_000,
        command,
    }
}

fn messages(criterion: &mut Criterion) {
    let agent = Actor::Agent {
        agent: "li-wei".parse().expect("well formed"),
        session: Session(99),
        owner_epoch: OwnerEpoch(3),
    };
    for (name, entry) in [
        ("customer 256 B", send(Actor::Customer, 256)),
        ("agent 256 B", send(agent, 256)),
        ("customer 64 KiB", send(Actor::Customer, 65_536)),
    ] {
        let bytes = wire::cell::encode_entry(&entry);
        let mut group = criterion.benchmark_group(format!("send, {name}"));
        group.bench_function("encode", |b| {
            b.iter(|| wire::cell::encode_entry(black_box(&entry)))
        });
        group.bench_function("decode", |b| {
            b.iter(|| wire::cell::decode_entry(black_box(&bytes)))
        });
    }
}

fn snapshots(criterion: &mut Criterion) {
    const CONVERSATIONS: u64 = 10_000;
    let plan = wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault");
    let adopted = VersionedPlan {
        version: PlanVersion(1),
        plan: std::sync::Arc::new(plan),
    };
    let mut cell = Cell::new(CellId(1));
    let adopt = Entry {
        at: CellTime(1),
        wall_ms: 0,
        command: Command::AdoptPlan(adopted),
    };
    cell.apply(LogIndex(1), &adopt);
    for n in 0..CONVERSATIONS {
        cell.apply(LogIndex(n + 2), &open(n));
    }
    let chunks: Vec<Vec<u8>> = CellChunks::new(cell.freeze()).collect();
    let mut group = criterion.benchmark_group("snapshot of 10,000 conversations");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(CONVERSATIONS));
    group.bench_function("encode", |b| {
        b.iter(|| {
            CellChunks::new(cell.freeze())
                .map(|chunk| chunk.len())
                .sum::<usize>()
        })
    });
    group.bench_function("decode", |b| b.iter(|| decode_cell(black_box(&chunks))));
}

/// A cell with one open conversation, in which the newest machine version is in force.
fn talking() -> Cell {
    let plan = wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault");
    let adopted = VersionedPlan {
        version: PlanVersion(1),
        plan: std::sync::Arc::new(plan),
    };
    let mut cell = Cell::new(CellId(1));
    let commands = [
        Command::AdoptPlan(adopted),
        Command::RaiseVersion(NEWEST_VERSION),
        open(1).command,
    ];
    for (index, command) in (1..).zip(commands) {
        let entry = Entry {
            at: CellTime(1),
            wall_ms: 0,
            command,
        };
        cell.apply(LogIndex(index), &entry);
    }
    cell
}

/// What the machine's chain costs beside the machine: the two differ by it alone.
fn chain(criterion: &mut Criterion) {
    const MESSAGES: u64 = 1_000;
    let start = talking();
    let conversation = ConversationId {
        cell: CellId(1),
        index: LogIndex(3),
    };
    let entries: Vec<Entry> = (0..MESSAGES)
        .map(|n| {
            let mut entry = send(Actor::Customer, 256);
            if let Command::Send(send) = &mut entry.command {
                send.conversation = conversation;
                send.request_id = request(n + 10);
            }
            entry
        })
        .collect();
    let mut group = criterion.benchmark_group("apply a message of 256 B");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("without the chain", |b| {
        b.iter_batched_ref(
            || start.clone(),
            |cell| {
                for (index, entry) in (4..).zip(&entries) {
                    black_box(cell.apply(LogIndex(index), entry));
                }
            },
            BatchSize::LargeInput,
        )
    });
    group.bench_function("with the chain", |b| {
        let mut applier = Applier::default();
        b.iter_batched_ref(
            || start.clone(),
            |cell| {
                for (index, entry) in (4..).zip(&entries) {
                    black_box(applier.apply(cell, LogIndex(index), entry));
                }
            },
            BatchSize::LargeInput,
        )
    });
}

criterion_group!(benches, messages, snapshots, chain);
criterion_main!(benches);
