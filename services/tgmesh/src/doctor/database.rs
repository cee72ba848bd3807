//! Postgres: whether it answers, takes rows, has the right tables, and what holds it up.

use tgmesh_lifecycle::clock;
use tgmesh_store::{DbConfig, Store};

use super::{Findings, PATIENCE};

const NAME: &str = "Postgres";
/// Clocks that differ by this much confuse whoever compares times; by that much, tokens and leases.
const SKEW_S: (f64, f64) = (1.0, 30.0);

pub(super) async fn look(config: Option<&DbConfig>) -> Findings {
    let mut findings = Findings::default();
    let Some(config) = config else {
        let advice = "set DATABASE_URL, or DATABASE_URL_FILE to a file that holds it";
        findings.warn(NAME, "is not looked at: DATABASE_URL is not set", (advice, None));
        return findings;
    };
    let before_us = clock::now_us();
    let looking = async { Store::new(config, 1)?.standing(before_us.unsigned_abs()).await };
    let standing = match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(standing)) => standing,
        Ok(Err(error)) => {
            let advice = "start it, or check DATABASE_URL; rows wait in the stream meanwhile";
            findings.fail(NAME, error.to_string(), (advice, Some("TgmeshDatabaseHeldUp")));
            return findings;
        }
        Err(_) => {
            let advice = "look at its load and disk; rows wait in the stream meanwhile";
            let found = format!("does not answer within {} s", PATIENCE.as_secs());
            findings.fail(NAME, found, (advice, Some("TgmeshDatabaseHeldUp")));
            return findings;
        }
    };
    let version = standing.server_version / 10_000;
    let size = standing.size_bytes as f64 / f64::from(1 << 20);
    findings.ok(
        NAME,
        format!("version {version} answers; the database takes {size:.0} MiB"),
    );
    if standing.is_read_only {
        let advice = "end the failover, or point DATABASE_URL to the server that takes writes";
        findings.fail(NAME, "takes no writes", (advice, Some("TgmeshDatabaseHeldUp")));
    }
    match standing.migration {
        Some(found) if found == standing.latest_migration => findings.ok("schema", format!("version {found}")),
        Some(found) if found > standing.latest_migration => {
            let text = format!(
                "version {found} is newer than this program's {}",
                standing.latest_migration
            );
            findings.warn("schema", text, ("update this program", None));
        }
        found => {
            let text = format!(
                "version {}, this program needs {}",
                found.unwrap_or(0),
                standing.latest_migration
            );
            let advice = "start an archiver as the tables' owner: it migrates";
            findings.fail("schema", text, (advice, Some("TgmeshDatabaseHeldUp")));
        }
    }
    if standing.without_this_month.is_empty() {
        findings.ok("partitions", format!("{}, this month's among them", standing.months));
    } else {
        let found = format!("this month's is missing: {}", standing.without_this_month.join(", "));
        let advice = "an archiver makes it with the first row; if none runs, start one";
        findings.warn("partitions", found, (advice, Some("TgmeshDatabaseHeldUp")));
    }
    let found = format!("{} of {}", standing.connections, standing.max_connections);
    if standing.connections * 5 > standing.max_connections * 4 {
        let advice = "close what leaks, or raise max_connections";
        findings.warn(
            "connections to Postgres",
            found,
            (advice, Some("TgmeshPostgresConnections")),
        );
    } else {
        findings.ok("connections to Postgres", found);
    }
    if standing.longest_transaction_s > 600.0 {
        let found = format!("one is open for {:.0} s", standing.longest_transaction_s);
        let advice = "find it in pg_stat_activity, and end it unless it is a backup";
        findings.warn("transactions", found, (advice, Some("TgmeshLongTransaction")));
    }
    // The server looked at its clock between these two moments.
    let (early, late) = (before_us as f64 / 1e6, clock::now_us() as f64 / 1e6);
    let ahead = (standing.clock_s - late).max(early - standing.clock_s).max(0.0);
    let found = format!("Postgres' clock differs from this host's by {ahead:.1} s");
    if ahead > SKEW_S.1 {
        findings.fail(
            "clocks",
            found,
            ("let all hosts follow one time server", Some("TgmeshClocksDiffer")),
        );
    } else if ahead > SKEW_S.0 {
        findings.warn(
            "clocks",
            found,
            ("let all hosts follow one time server", Some("TgmeshClocksDiffer")),
        );
    } else {
        findings.ok("clocks", "this host's and Postgres' agree");
    }
    findings
}
