//! The network between hosts: links with delay, loss and cuts, and connections that behave as TCP does.
//! Promise: a piece that is lost or whose link is cut is sent again with growing pauses, as a kernel would, and
//! arrives in order or not at all; a host without power is silent, one whose process died answers with a reset;
//! the same seed and the same calls give the same network.
//! Not here: running hosts (`world`), which faults come when (`faults`).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;
use runtime::Random;

use super::conn::{Dialled, SimConn};
use super::pipe::{Content, HostId, Pipe, RETRANSMIT_US_MAX};
use crate::trace::Trace;

/// Connections that wait to be accepted at one port, as a kernel's backlog.
const BACKLOG_MAX: usize = 128;
/// The first pause before a connection is asked for again, as Linux has it; it doubles.
const SYN_AGAIN_US: u64 = 1_000_000;
/// Ports that the network chooses start here.
const FIRST_FREE_PORT: u16 = 40_000;
/// What connections of consensus say that they are for (`runtime::Purpose`).
const CONSENSUS: u32 = 1;
/// One in this many; shares are counted so.
pub const MILLION: u64 = 1_000_000;

/// One direction between two hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// How long a piece is on the way at least, microseconds.
    pub delay_us: u64,
    /// How much longer it may be on the way.
    pub jitter_us: u64,
    /// Pieces in a million that have to be sent again.
    pub loss: u64,
    /// How many causes there are for which nothing passes.
    pub cuts: u32,
    /// How much longer everything takes for now.
    pub slower_us: u64,
}

/// What the network has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Pieces that arrived.
    pub pieces: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Pieces that were sent again.
    pub again: u64,
    /// Connections that came up.
    pub connections: u64,
}

/// The network; clones share it.
#[derive(Clone)]
pub struct Net {
    pub(super) state: Arc<Mutex<State>>,
}

pub(super) struct State {
    pub(super) now_us: u64,
    random: Random,
    trace: Trace,
    pub(super) window: usize,
    pub(super) hosts: Vec<HostState>,
    links: BTreeMap<(HostId, HostId), Link>,
    pub(super) ports: BTreeMap<(HostId, u16), Port>,
    pub(super) pipes: BTreeMap<u64, Pipe>,
    pub(super) dials: BTreeMap<u64, Dialling>,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    carried: Carried,
}

/// A machine in the network.
pub(super) struct HostState {
    /// Whether it has power: a machine without is silent.
    pub(super) on: bool,
    /// Raised with each loss of power: what the machine had open is then gone without a word.
    pub(super) life: u64,
}

/// A port that somebody listens at.
#[derive(Default)]
pub(super) struct Port {
    pub(super) backlog: VecDeque<(SimConn, SocketAddr)>,
    pub(super) waker: Option<Waker>,
}

/// A connection that is asked for.
pub(super) struct Dialling {
    from: HostId,
    to: SocketAddr,
    again_us: u64,
    pub(super) waker: Option<Waker>,
    pub(super) answer: Option<Dialled>,
    pending: Option<Dialled>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Asked(u64),
    Answered(u64),
    Piece(u64),
    Reset(u64),
}

impl Net {
    /// A network in which a connection has so many bytes on the way in each direction.
    pub fn new(seed: u64, window: usize, trace: Trace) -> Self {
        let state = State {
            now_us: 0,
            random: Random::from_seed(seed),
            trace,
            window,
            hosts: Vec::new(),
            links: BTreeMap::new(),
            ports: BTreeMap::new(),
            pipes: BTreeMap::new(),
            dials: BTreeMap::new(),
            events: BTreeMap::new(),
            next: 0,
            carried: Carried::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Adds a machine.
    pub fn add_host(&self) -> HostId {
        let mut state = self.state.lock();
        state.hosts.push(HostState { on: true, life: 0 });
        state.hosts.len() - 1
    }

    /// Changes a direction between two machines. What it did not let pass goes on with the next attempt.
    pub fn link(&self, from: HostId, to: HostId, change: impl FnOnce(&mut Link)) {
        let mut state = self.state.lock();
        let link = state.links.entry((from, to)).or_default();
        change(link);
        if link.cuts == 0 {
            // Word of what was read in the other direction gets back again.
            let told = state.pipes.values_mut();
            told.filter(|pipe| (pipe.to, pipe.from) == (from, to))
                .for_each(Pipe::tell);
        }
    }

    /// Stalls one of the connections on which a machine speaks to another about consensus, or lets all go on. Each
    /// pair has several, for appends, heartbeats and snapshots.
    pub fn stall(&self, from: HostId, to: HostId, draw: Option<u64>) {
        let mut state = self.state.lock();
        let between =
            |pipe: &&mut Pipe| (pipe.from, pipe.to, pipe.purpose) == (from, to, CONSENSUS);
        let mut pipes: Vec<&mut Pipe> = state.pipes.values_mut().filter(between).collect();
        let count = pipes.len() as u64;
        match draw {
            Some(_) if count == 0 => {}
            Some(draw) => pipes[(draw % count) as usize].stalled = true,
            None => pipes.iter_mut().for_each(|pipe| pipe.stalled = false),
        }
    }

    /// Takes the power from a machine: it says nothing more, and its ports are closed.
    pub fn power_off(&self, host: HostId) {
        let mut state = self.state.lock();
        state.hosts[host].on = false;
        state.hosts[host].life += 1;
        let ports: Vec<_> = state
            .ports
            .extract_if(.., |(at, _), _| *at == host)
            .collect();
        let dials: Vec<_> = state
            .dials
            .extract_if(.., |_, dial| dial.from == host)
            .collect();
        for pipe in state.pipes.values_mut() {
            pipe.reader_gone |= pipe.to == host;
            pipe.writer_gone |= pipe.from == host;
            if pipe.from == host {
                pipe.under_way.clear();
            }
        }
        drop(state);
        // Connections that are in them close outside the lock.
        drop((ports, dials));
    }

    /// Gives it back.
    pub fn power_on(&self, host: HostId) {
        self.state.lock().hosts[host].on = true;
    }

    /// What was carried so far.
    pub fn carried(&self) -> Carried {
        self.state.lock().carried
    }

    /// Moves time on and everything that is due by then.
    pub fn run_until(&self, now_us: u64) {
        let mut state = self.state.lock();
        while let Some(entry) = state.events.first_entry() {
            if entry.key().0 > now_us {
                break;
            }
            let ((due_us, _), event) = entry.remove_entry();
            state.now_us = state.now_us.max(due_us);
            match event {
                Event::Asked(dial) => state.asked(self, dial),
                Event::Answered(dial) => state.answered(dial),
                Event::Piece(pipe) => state.piece(pipe),
                Event::Reset(pipe) => state.reset(pipe),
            }
        }
        state.now_us = now_us;
    }
}

/// The address of a port of a machine.
pub fn address(host: HostId, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, octet(host))), port)
}

fn octet(host: HostId) -> u8 {
    // A world has some ten machines.
    u8::try_from(host + 1).unwrap_or(u8::MAX)
}

/// The machine behind an address.
pub(super) fn host_of(address: SocketAddr) -> Option<HostId> {
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]).checked_sub(1),
        IpAddr::V6(_) => None,
    }
}

impl State {
    fn at(&mut self, due_us: u64, event: Event) {
        self.next += 1;
        self.events.insert((due_us, self.next), event);
    }

    fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn link(&self, from: HostId, to: HostId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// How long something takes that is sent now.
    fn delay(&self, from: HostId, to: HostId, lost_us: u64) -> u64 {
        let link = self.link(from, to);
        let jitter = match link.jitter_us {
            0 => 0,
            most => self.random.below(most + 1),
        };
        let lost = link.loss > 0 && self.random.below(MILLION) < link.loss;
        link.delay_us + link.slower_us + jitter + if lost { lost_us } else { 0 }
    }

    /// Whether anything gets from one machine to another.
    fn passes(&self, from: HostId, to: HostId) -> bool {
        self.link(from, to).cuts == 0 && self.hosts[to].on
    }

    pub(super) fn free_port(&self, host: HostId) -> Option<u16> {
        (FIRST_FREE_PORT..=u16::MAX).find(|port| !self.ports.contains_key(&(host, *port)))
    }

    pub(super) fn ask(&mut self, from: HostId, to: SocketAddr) -> u64 {
        let dial = self.new_id();
        let dialling = Dialling {
            from,
            to,
            again_us: SYN_AGAIN_US,
            waker: None,
            answer: None,
            pending: None,
        };
        self.dials.insert(dial, dialling);
        let delay = host_of(to).map_or(0, |to| self.delay(from, to, SYN_AGAIN_US));
        self.at(self.now_us + delay, Event::Asked(dial));
        dial
    }

    fn asked(&mut self, net: &Net, id: u64) {
        let Some(dial) = self.dials.get(&id) else {
            return;
        };
        let (from, to) = (dial.from, dial.to);
        let Some(host) = host_of(to).filter(|host| *host < self.hosts.len()) else {
            return self.answer(id, Dialled::Refused, from);
        };
        let key = (host, to.port());
        let full = self
            .ports
            .get(&key)
            .is_some_and(|port| port.backlog.len() >= BACKLOG_MAX);
        if !self.passes(from, host) || full {
            return self.ask_again(id);
        }
        if !self.ports.contains_key(&key) {
            return self.answer(id, Dialled::Refused, host);
        }
        let (up, down) = (self.new_id(), self.new_id());
        self.pipes.insert(up, Pipe::new(from, host, down));
        self.pipes.insert(down, Pipe::new(host, from, up));
        let lives = (self.hosts[from].life, self.hosts[host].life);
        let near = SimConn::new(net, (from, lives.0), down, up);
        let far = SimConn::new(net, (host, lives.1), up, down);
        if let Some(port) = self.ports.get_mut(&key) {
            port.backlog.push_back((far, address(from, 0)));
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        }
        self.answer(id, Dialled::Up(near), host);
    }

    fn ask_again(&mut self, id: u64) {
        self.carried.again += 1;
        if let Some(dial) = self.dials.get_mut(&id) {
            let again_us = dial.again_us;
            dial.again_us *= 2;
            self.at(self.now_us + again_us, Event::Asked(id));
        }
    }

    fn answer(&mut self, id: u64, answer: Dialled, by: HostId) {
        let Some(dial) = self.dials.get_mut(&id) else {
            return;
        };
        dial.pending = Some(answer);
        let from = dial.from;
        let delay = self.delay(by, from, SYN_AGAIN_US);
        self.at(self.now_us + delay, Event::Answered(id));
    }

    fn answered(&mut self, id: u64) {
        let Some(dial) = self.dials.get(&id) else {
            return;
        };
        let by = host_of(dial.to).filter(|host| *host < self.hosts.len());
        let passes = by.is_none_or(|by| self.passes(by, dial.from));
        if !passes {
            self.at(self.now_us + SYN_AGAIN_US, Event::Answered(id));
            return;
        }
        if let Some(dial) = self.dials.get_mut(&id) {
            self.carried.connections += u64::from(matches!(dial.pending, Some(Dialled::Up(_))));
            dial.answer = dial.pending.take();
            if let Some(waker) = dial.waker.take() {
                waker.wake();
            }
        }
    }

    /// Puts what was written on its way.
    pub(super) fn send(&mut self, id: u64, content: Content) {
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        let (from, to, twin) = (pipe.from, pipe.to, pipe.twin);
        let purpose = match &content {
            Content::Bytes(bytes) if pipe.purpose == 0 => said_purpose(bytes),
            _ => 0,
        };
        let due_us = self.now_us + self.delay(from, to, pipe.retransmit_us);
        if purpose > 0 {
            for id in [id, twin] {
                if let Some(pipe) = self.pipes.get_mut(&id) {
                    pipe.purpose = purpose;
                }
            }
        }
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let due_us = pipe.push(due_us, content);
        if !std::mem::replace(&mut pipe.scheduled, true) {
            self.at(due_us, Event::Piece(id));
        }
    }

    fn piece(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        pipe.scheduled = false;
        let (from, to, stalled) = (pipe.from, pipe.to, pipe.stalled);
        if pipe.under_way.is_empty() {
            return self.forget(id);
        }
        if stalled || !self.passes(from, to) {
            return self.piece_again(id);
        }
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        if pipe.reader_gone {
            pipe.under_way.clear();
            let delay = self.delay(to, from, 0);
            self.at(self.now_us + delay, Event::Reset(id));
            return;
        }
        while pipe
            .under_way
            .front()
            .is_some_and(|piece| piece.due_us <= self.now_us)
        {
            if let Some(Content::Bytes(bytes)) = pipe.under_way.front().map(|piece| &piece.content)
            {
                self.trace.piece(self.now_us, (from, to), bytes);
                self.carried.bytes += bytes.len() as u64;
            }
            self.carried.pieces += 1;
            pipe.arrive();
        }
        if let Some(next) = pipe.under_way.front() {
            let due_us = next.due_us;
            pipe.scheduled = true;
            self.at(due_us, Event::Piece(id));
        }
        self.forget(id);
    }

    fn piece_again(&mut self, id: u64) {
        self.carried.again += 1;
        if let Some(pipe) = self.pipes.get_mut(&id) {
            let again_us = self.now_us + pipe.retransmit_us;
            pipe.retransmit_us = (pipe.retransmit_us * 2).min(RETRANSMIT_US_MAX);
            pipe.scheduled = true;
            self.at(again_us, Event::Piece(id));
        }
    }

    fn reset(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        let (from, to, twin) = (pipe.from, pipe.to, pipe.twin);
        if !self.passes(to, from) {
            self.at(self.now_us + RETRANSMIT_US_MAX, Event::Reset(id));
            return;
        }
        for id in [id, twin] {
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.break_off();
            }
        }
        self.forget(id);
    }

    /// Drops a connection that nobody has any more.
    pub(super) fn forget(&mut self, id: u64) {
        let done = |pipe: &Pipe| pipe.writer_gone && pipe.reader_gone && pipe.under_way.is_empty();
        let Some(twin) = self
            .pipes
            .get(&id)
            .filter(|pipe| done(pipe))
            .map(|pipe| pipe.twin)
        else {
            return;
        };
        if self.pipes.get(&twin).is_none_or(done) {
            self.pipes.remove(&id);
            self.pipes.remove(&twin);
        }
    }

    /// Whether word of what was read gets from the reader back to the writer.
    pub(super) fn gets_back(&self, pipe: &Pipe) -> bool {
        self.link(pipe.to, pipe.from).cuts == 0
    }
}

/// What the first bytes of a connection between nodes say that it is for (`runtime::Purpose`); 0 for others.
fn said_purpose(bytes: &Bytes) -> u32 {
    match bytes.get(..runtime::PURPOSE_BYTES) {
        Some(said) if said.starts_with(b"antiphon") => {
            u32::from_be_bytes([said[12], said[13], said[14], said[15]])
        }
        _ => 0,
    }
}
