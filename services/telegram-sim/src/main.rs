//! `tgmesh-telegram-sim`: a Telegram data centre on loopback.

use std::process::ExitCode;

fn main() -> ExitCode {
    tgmesh_lifecycle::main::<tgmesh_telegram_sim::settings::Args, _, _>("telegram-sim", tgmesh_telegram_sim::run)
}
