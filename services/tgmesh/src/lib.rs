//! The command-line tool: the whole mesh in one command, tokens, detection, live events, load
//! tests. What belongs to one service it hands to that service's binary.

pub mod cli;
pub mod mesh;
pub mod token;

mod accounts;
mod audit;
mod detect;
mod doctor;
mod erase;
mod keygen;
pub mod load;
mod replay;
mod revoke;
mod service;
mod tail;
mod terminal;
mod topology;
mod trace;
mod up;
