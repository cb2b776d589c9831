//! Claims about hosts and the network between them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::memory::MemoryDisk;
use runtime::{PURPOSE_BYTES, Purpose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Interval, interval_at};

use super::{End, HostId, World, address};
use crate::trace::Trace;

const PORT: u16 = 7;

/// Ticks in a tenth of a second and on, not at once.
fn every_100_ms() -> Interval {
    let every = Duration::from_millis(100);
    interval_at(Instant::now() + every, every)
}

/// Two hosts five milliseconds apart; the first answers every line of the second.
struct Pair {
    world: World,
    server: HostId,
    client: HostId,
    heard: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1, 1 << 16, Trace::default());
        let (server, client) = (world.add_host("server"), world.add_host("client"));
        for (from, to) in [(server, client), (client, server)] {
            world.net().link(from, to, |link| link.delay_us = 5_000);
        }
        let mut pair = Self {
            world,
            server,
            client,
            heard: Arc::default(),
        };
        pair.serve();
        pair
    }

    fn serve(&mut self) {
        let server = self.server;
        self.world
            .start(server, MemoryDisk::default(), |env| async move {
                let mut listener = env.network.listen(address(server, PORT)).await.unwrap();
                while let Ok((mut conn, _)) = listener.accept().await {
                    let answering = async move {
                        let mut buffer = [0; 64];
                        while let Ok(read @ 1..) = conn.read(&mut buffer).await {
                            if conn.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                        }
                    };
                    env.edge.spawn("answer", answering).detach();
                }
            });
    }

    /// Says a line each hundred milliseconds over one connection, and notes when the answer comes or what went wrong.
    fn ask(&mut self) {
        let (server, heard) = (self.server, self.heard.clone());
        self.world
            .start(self.client, MemoryDisk::default(), move |env| async move {
                let began = Instant::now();
                let note = |what: String| {
                    let ms = u64::try_from(began.elapsed().as_millis()).unwrap();
                    heard.lock().push((ms, what));
                };
                let mut conn = match env.network.dial(&address(server, PORT).to_string()).await {
                    Ok(conn) => conn,
                    Err(error) => return note(error.kind().to_string()),
                };
                let mut pause = every_100_ms();
                note("up".to_owned());
                for number in 0..100 {
                    let line = format!("{number}");
                    if let Err(error) = conn.write_all(line.as_bytes()).await {
                        return note(error.kind().to_string());
                    }
                    let mut buffer = [0; 64];
                    match conn.read(&mut buffer).await {
                        Ok(0) => return note("end".to_owned()),
                        Ok(read) => note(String::from_utf8_lossy(&buffer[..read]).into_owned()),
                        Err(error) => return note(error.kind().to_string()),
                    }
                    pause.tick().await;
                }
            });
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.world.step();
        }
    }

    fn last(&self) -> (u64, String) {
        self.heard.lock().last().cloned().unwrap()
    }
}

#[test]
fn a_round_trip_takes_both_delays() {
    let mut pair = Pair::new(1);
    pair.ask();
    pair.run(100);
    let heard = pair.heard.lock().clone();
    assert_eq!(heard[0].1, "up");
    assert!((10..=13).contains(&heard[0].0), "{heard:?}");
    let round = heard[1].0 - heard[0].0;
    assert!((10..=13).contains(&round), "{heard:?}");
}

#[test]
fn what_a_cut_held_back_arrives_after_it_in_order() {
    let mut pair = Pair::new(2);
    pair.ask();
    pair.run(50);
    let (server, client) = (pair.server, pair.client);
    pair.world.net().link(server, client, |link| link.cuts = 1);
    pair.run(2_000);
    let before = pair.last().1;
    pair.world.net().link(server, client, |link| link.cuts = 0);
    pair.run(8_000);
    let texts: Vec<String> = pair
        .heard
        .lock()
        .iter()
        .skip(1)
        .map(|(_, text)| text.clone())
        .collect();
    let wanted: Vec<String> = (0..texts.len()).map(|number| number.to_string()).collect();
    assert_eq!(texts, wanted);
    assert!(
        texts.len() > before.parse::<usize>().unwrap() + 10,
        "{texts:?}"
    );
}

#[test]
fn a_dead_process_closes_its_connections_and_a_dead_machine_says_nothing_until_it_is_back() {
    let mut pair = Pair::new(3);
    pair.ask();
    pair.run(500);
    pair.world.end(pair.server, End::Killed);
    pair.run(200);
    assert_eq!(pair.last().1, "end");

    let mut pair = Pair::new(4);
    pair.ask();
    pair.run(500);
    pair.world.end(pair.server, End::PowerCut);
    let before = pair.last();
    pair.run(3_000);
    assert_eq!(pair.last(), before, "nothing is heard of it");
    pair.serve();
    pair.run(8_000);
    assert_eq!(pair.last().1, "connection reset");
}

#[test]
fn a_frozen_host_wakes_with_what_was_sent_to_it_and_a_clock_that_moved_on() {
    let mut pair = Pair::new(5);
    pair.ask();
    pair.run(500);
    let (before, client) = (pair.last(), pair.client);
    pair.world.freeze(client);
    pair.run(3_000);
    assert_eq!(pair.last(), before);
    pair.world.wake(client);
    pair.run(20);
    let (ms, text) = pair.last();
    assert_ne!(text, before.1);
    assert!(ms >= before.0 + 3_000, "{ms} after {}", before.0);
}

#[test]
fn one_connection_of_consensus_is_stalled_and_the_others_go_on() {
    let mut pair = Pair::new(6);
    let (server, client, heard) = (pair.server, pair.client, pair.heard.clone());
    pair.world
        .start(client, MemoryDisk::default(), move |env| async move {
            let to = address(server, PORT).to_string();
            for number in 0..3 {
                let (network, to, heard) = (env.network.clone(), to.clone(), heard.clone());
                let asking = async move {
                    let mut conn = Purpose::Consensus.dial(&*network, &to).await.unwrap();
                    let mut pause = every_100_ms();
                    let mut said = [0; PURPOSE_BYTES];
                    conn.read_exact(&mut said).await.unwrap();
                    pause.tick().await;
                    conn.write_all(b"x").await.unwrap();
                    conn.read_exact(&mut said[..1]).await.unwrap();
                    heard.lock().push((number, String::new()));
                };
                env.edge.spawn("ask", asking).detach();
            }
            std::future::pending::<()>().await;
        });
    pair.run(60);
    pair.world.net().stall(client, server, Some(1));
    pair.run(1_000);
    assert_eq!(pair.heard.lock().len(), 2);
    pair.world.net().stall(client, server, None);
    pair.run(8_000);
    assert_eq!(pair.heard.lock().len(), 3);
}

#[test]
fn the_same_seed_gives_the_same_course() {
    let course = |seed| {
        let mut pair = Pair::new(seed);
        pair.world.net().link(pair.client, pair.server, |link| {
            (link.jitter_us, link.loss) = (20_000, 100_000);
        });
        pair.ask();
        pair.run(20_000);
        pair.heard.lock().clone()
    };
    assert_eq!(course(7), course(7));
    assert_ne!(course(7), course(8));
}
