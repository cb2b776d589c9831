//! The archive at size: space, memory, lookups and rebuild, on the machine's disk with sled.
//! Promise: conversations of ten messages of 100 bytes, as a stored record has them: ids, authors and
//! times beside the text.
//! Not here: several nodes, copying from a peer.
//!
//! `cargo bench -p store --bench archive -- [CONVERSATIONS [FILE]]`: 100,000 by default; a file of plain
//! lines gives the words of real messages, without it they are drawn from a list.
//!
//! Goals: at most 1.3 times the text and 300 bytes on disk, index included; lookups within 5 ms at
//! p99; 50,000 conversations a second when the index is built anew; memory that does not grow.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use runtime::real::Threads;
use runtime::{Env, Random};
use store::archive::{
    Archive, ArchiveError, ArchiveOptions, Facts, IndexState, Page, Record, SledIndexes, Within,
};
use tokio::time::{Duration, Instant};

/// The node's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONVERSATIONS: u64 = 100_000;
const MESSAGES: u64 = 10;
const MESSAGE_BYTES: usize = 100;
const BATCH: u64 = 256;
const AGENTS: u64 = 300;
/// They close evenly over so many days.
const DAYS: u64 = 10;
const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 20_454 * DAY_MS;
const LOOKUPS: u64 = 20_000;
const CELL: u32 = 1;

/// The commonest words of service dialogues, for want of real ones.
const WORDS: &str = "i you the to a my is it for and me can please that of on in your have order with not \
    this was what number be we will do yes no thank thanks are would like would help so help today there need \
    account from at card when just know any one time if get name but has been how return check payment still \
    help item let moment sorry see right refund address email date day could made new which shipping phone by \
    received does delivery price ticket flight hotel booking morning tomorrow evening friday monday change cancel \
    cancelled charged twice wrong size color red blue green shirt jacket shoes broken screen laptop password reset \
    login website page error message sent confirmation code security question answer supervisor transfer minutes \
    waiting long happy welcome great perfect wonderful problem issue understand apologize inconvenience policy days \
    within purchase bought store online credit debit bank transaction statement balance limit increase available \
    restaurant table people seven eight nine hundred street avenue london berlin paris madrid reservation confirm";

struct Texts {
    /// Words, or whole lines of real messages.
    parts: Vec<String>,
    are_lines: bool,
    random: Random,
}

impl Texts {
    fn new(file: Option<&Path>) -> Self {
        let parts = match file {
            Some(file) => fs::read_to_string(file)
                .expect("the file of lines is readable")
                .lines()
                .map(str::to_owned)
                .collect(),
            None => WORDS.split_whitespace().map(str::to_owned).collect(),
        };
        Self {
            parts,
            are_lines: file.is_some(),
            random: Random::from_seed(1),
        }
    }

    fn message(&self) -> Vec<u8> {
        let draw = || self.random.below(self.parts.len() as u64) as usize;
        let mut text = String::new();
        while text.len() < MESSAGE_BYTES {
            // Of words the smaller of two draws: the common ones come more often.
            let part = if self.are_lines {
                draw()
            } else {
                draw().min(draw())
            };
            text.push_str(&self.parts[part]);
            text.push(' ');
        }
        text.into_bytes()[..MESSAGE_BYTES].to_vec()
    }

    fn conversation(&self, n: u64, all: u64) -> Record {
        let closed_wall_ms = START_MS + n * DAYS * DAY_MS / all;
        let customer = format!("web-de/customer-{:08}", self.random.below(all / 5 + 1));
        let agent = format!("agent-{:03}", self.random.below(AGENTS));
        let conversation = n * 30 + self.random.below(30);
        Record {
            cell: CELL,
            sealed: (n + 1) * 30,
            conversation,
            agents: vec![agent.clone()],
            queue: format!("queue-{}", n % 20),
            opened_wall_ms: closed_wall_ms.saturating_sub(600_000),
            closed_wall_ms,
            facts: Facts {
                answered: true,
                abandoned: false,
                wait_ms: self.random.below(60_000),
                handle_ms: self.random.below(600_000),
                rating: None,
            },
            blob: self.blob(conversation, closed_wall_ms, &customer, &agent),
            customer: customer.into(),
        }
    }

    /// What a stored conversation has, in the form of protocol buffers.
    fn blob(&self, conversation: u64, closed_ms: u64, customer: &str, agent: &str) -> Bytes {
        let mut out = Vec::new();
        number(&mut out, 1, conversation);
        for (field, text) in [
            (2, "default"),
            (3, "web-de"),
            (4, customer),
            (5, "Jo Miller"),
        ] {
            bytes(&mut out, field, text.as_bytes());
        }
        number(&mut out, 13, closed_ms);
        let mut at = closed_ms - 600_000;
        for message in 0..MESSAGES {
            at += self.random.below(60_000);
            let mut id = [0; 16];
            self.random.fill(&mut id);
            let (mut wrapped, mut author, mut body) = (Vec::new(), Vec::new(), Vec::new());
            bytes(&mut wrapped, 1, &id);
            match message % 2 {
                0 => bytes(&mut author, 1, &[]),
                _ => bytes(&mut author, 2, agent.as_bytes()),
            }
            bytes(&mut body, 2, &self.message());
            let mut content = Vec::new();
            bytes(&mut content, 1, &wrapped);
            bytes(&mut content, 2, &author);
            bytes(&mut content, 3, &body);
            number(&mut content, 4, at);
            let mut item = Vec::new();
            number(&mut item, 1, message + 1);
            number(&mut item, 2, at - START_MS + DAY_MS);
            number(&mut item, 3, at);
            bytes(&mut item, 4, &content);
            bytes(&mut out, 36, &item);
        }
        out.into()
    }
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn resident_mib() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    (pages * 4_096) >> 20
}

fn bytes_below(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).expect("the directory is there");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry is readable");
        let about = entry.metadata().expect("an entry is there");
        match about.is_dir() {
            true => bytes_below(&entry.path()),
            false => about.blocks() * 512,
        }
    });
    sizes.sum()
}

async fn open(env: &Env, dir: &Path) -> Archive {
    let opened = Archive::open(env, dir, Arc::new(SledIndexes), ArchiveOptions::default()).await;
    opened.unwrap_or_else(|error| panic!("{error}")).0
}

async fn append(archive: &Archive, texts: &Texts, all: u64) -> Vec<(u64, Bytes)> {
    let mut known = Vec::new();
    let (mut spent, mut told) = (Duration::ZERO, 0);
    for from in (0..all).step_by(BATCH as usize) {
        let batch: Vec<Record> = (from..(from + BATCH).min(all))
            .map(|n| texts.conversation(n, all))
            .collect();
        known.extend(batch.first().map(|r| (r.conversation, r.customer.clone())));
        let began = Instant::now();
        archive.append(batch).await.expect("the disk takes it");
        spent += began.elapsed();
        let done = (from + BATCH).min(all);
        for percent in [10, 50, 100] {
            if told < percent && done * 100 >= all * percent {
                told = percent;
                let rate = done as f64 / spent.as_secs_f64();
                println!(
                    "{percent:>3} %: {done} conversations, {rate:.0} a second, resident {} MiB",
                    resident_mib()
                );
            }
        }
    }
    known
}

async fn lookups(archive: &Archive, texts: &Texts, known: &[(u64, Bytes)]) {
    let draw = || &known[texts.random.below(known.len() as u64) as usize];
    let (mut by_id, mut by_customer) = (Vec::new(), Vec::new());
    for _ in 0..LOOKUPS {
        let (conversation, customer) = draw();
        let began = Instant::now();
        let found = archive.get(CELL, *conversation).await;
        by_id.push(began.elapsed());
        assert!(matches!(found, Ok(Some(_))), "{found:?}");
        let page = Page {
            after: None,
            records_max: 20,
        };
        let began = Instant::now();
        let found = archive.by_customer(customer, Within::default(), page).await;
        by_customer.push(began.elapsed());
        assert!(found.is_ok_and(|found| !found.records.is_empty()));
    }
    for (what, mut times) in [("id", by_id), ("customer", by_customer)] {
        times.sort();
        let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1_000.0;
        println!(
            "lookup by {what}: p50 {:.3} ms, p99 {:.3} ms",
            at(50),
            at(99)
        );
    }
}

async fn until_whole(archive: &Archive) {
    loop {
        match archive.get(CELL, 0).await {
            Err(ArchiveError::Rebuilding { .. }) => {}
            answered => return drop(answered.expect("the index is built")),
        }
    }
}

async fn measure(env: &Env, dir: &Path, all: u64, texts: &Texts) {
    let archive = open(env, dir).await;
    let known = append(&archive, texts, all).await;
    archive.close().await;
    drop(archive);
    let (disk, text) = (bytes_below(dir) / all, MESSAGES * MESSAGE_BYTES as u64);
    let index = bytes_below(&dir.join("index")) / all;
    println!(
        "on disk: {disk} bytes a conversation, {index} of them index; text {text}, goal {}",
        text * 13 / 10 + 300
    );

    let archive = open(env, dir).await;
    lookups(&archive, texts, &known).await;
    let began = Instant::now();
    let chained = archive.chain(CELL, 0, u64::MAX, [0; 16]).await;
    let chained = chained.expect("every record is whole");
    assert_eq!(chained.count, all);
    println!(
        "chain: {:.0} a second",
        all as f64 / began.elapsed().as_secs_f64()
    );
    archive.close().await;
    drop(archive);

    fs::remove_dir_all(dir.join("index")).expect("the index is there");
    let began = Instant::now();
    let archive = open(env, dir).await;
    until_whole(&archive).await;
    let took = began.elapsed().as_secs_f64();
    let status = archive.status().await;
    assert_eq!((status.index, status.records), (IndexState::Whole, all));
    println!(
        "index built anew: {:.0} conversations a second, resident {} MiB",
        all as f64 / took,
        resident_mib()
    );
    archive.close().await;
}

fn main() {
    let numbers = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let arguments: Vec<String> = numbers.collect();
    let all = arguments.first().map_or(CONVERSATIONS, |all| {
        all.parse()
            .expect("the first argument is a number of conversations")
    });
    let texts = Texts::new(arguments.get(1).map(Path::new));
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let production = Env::production(Threads::default()).expect("threads can be started");
    let env = production.env();
    production.block_on(measure(&env, dir.path(), all, &texts));
}
