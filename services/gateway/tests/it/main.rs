//! The gateway's binary with a real nats-server, seen through real WebSockets.

mod auth;
mod autobahn;
mod clients;
mod figures;
mod fuzz;
mod history;
mod history_leak;
mod http;
mod keys;
mod leak;
mod limits;
mod live;
mod matches;
mod model;
mod openapi;
mod past;
mod resume;
mod revocation;
mod rights;
mod settings;
mod shutdown;
mod socket;
mod storm;
mod tokens;
mod unique;
mod world;
