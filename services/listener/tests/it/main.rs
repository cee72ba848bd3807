//! The listener's binary between a real data centre's protocol and a real nats-server.

mod accounts;
mod backfill;
mod chats;
mod commands;
mod edits;
mod events;
mod faults;
mod floods;
mod full;
mod kills;
mod ledger;
mod login;
mod masking;
mod pods;
mod polls;
mod retention;
mod rules;
mod seen;
mod silence;
mod speed;
mod world;
