//! The simulator as clients see it: grammers in this process, Telethon in its own.

mod binary;
mod client;
mod faults;
mod gap;
mod hostile;
mod live;
mod players;
mod reading;
mod speed;
mod telethon;
