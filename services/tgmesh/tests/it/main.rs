//! The whole mesh, real in every part: what a newcomer types, what happens when parts die, and
//! what the tools of the command line do.

mod backfill;
mod browser;
mod chaos;
mod commands;
mod contract;
mod deployed;
mod detect;
mod erase;
mod figures;
mod first_run;
mod house;
mod keys;
mod load;
mod operators;
mod python;
mod rolling;
mod settings;
mod streams;
mod support;
mod tracing;
mod up;
