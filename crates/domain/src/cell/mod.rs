//! The cell machine: conversations, lines, offers, agents and their capacity.
//! Promise: one serial decision maker; `decide` only reads, `evolve` is total.
//! Not here: proposing (`conversation`), storing (`wire`).

pub mod command;
pub mod refusal;
pub mod reply;
