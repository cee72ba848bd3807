//! An account's connections, one after the other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tgmesh_stream::lease::Tenure;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{FIRST_PAUSE, LONGEST_PAUSE, Outcome, Shared};
use crate::backfill::Runner;
use crate::chats::Seeker;
use crate::connection::{self, Connection};
use crate::gate::Gate;
use crate::pump::{End, Pump};
use crate::session::MemorySession;
use crate::stopped::Fingerprint;

/// A connection that lived as long begins with a short pause again.
const HEALTHY: Duration = Duration::from_secs(30);

/// What a connection's bytes need to leave.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) tenure: &'a Tenure,
    pub(super) margin: Duration,
}

/// Opens one connection after the other.
pub(super) async fn connections(
    shared: &Shared,
    name: &Arc<str>,
    session: &Arc<MemorySession>,
    (pump, seeker, runner): (&mut Pump, &mut Seeker, &mut Runner),
    stop: &CancellationToken,
    way: Way<'_>,
) -> Outcome {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let opened = tokio::select! {
            () = stop.cancelled() => return Outcome::Stopped,
            opened = open_gate(shared, session, way) => opened,
        };
        let end = match opened {
            Ok(gate) => {
                session.go_through(gate.address());
                let mut connection = Connection::new(Arc::clone(session), shared.api_id, pump.floods());
                let calls = connection.calls();
                let end = tokio::select! {
                    end = pump.live(&mut connection, stop, || shared.roster.up(name)) => end,
                    never = seeker.seek(&calls) => match never {},
                    never = runner.work(&calls) => match never {},
                };
                drop(connection);
                // Before anything else: a successor must find the line free.
                gate.close().await;
                end
            }
            Err(error) => End::Lost(format!("{error:#}")),
        };
        let end = if session.key_was_rejected() {
            End::Dead("the server does not know its key".to_owned())
        } else {
            end
        };
        match end {
            End::Stopped => return Outcome::Stopped,
            End::Dead(why) => return Outcome::Dead(why, Fingerprint::of(&session.content())),
            End::Lost(why) => {
                if began.elapsed() > HEALTHY {
                    pause = FIRST_PAUSE;
                }
                shared.stats.reconnects.inc();
                shared.roster.down(name, &why);
                // Not all accounts at the same moment.
                let wait = pause.mul_f64(rand::random_range(0.5..1.0));
                tracing::warn!(account = %name, why, retry_ms = wait.as_millis() as u64, "the connection to Telegram is lost");
                tokio::select! {
                    () = stop.cancelled() => return Outcome::Stopped,
                    () = sleep(wait) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    Outcome::Stopped
}

/// The way to the account's data centre.
async fn open_gate(shared: &Shared, session: &MemorySession, way: Way<'_>) -> anyhow::Result<Gate> {
    connection::pin(shared.dc.as_deref(), session).await?;
    let server = session.home_address().context("the session names no data centre")?;
    let gate = Gate::open(server, way.tenure.clone(), way.margin).await;
    gate.context("couldn't open a port on loopback")
}
