//! `tgmesh backfill`: orders the past of chats, and shows how far that is.

mod ask;
mod show;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_proto::subject;
use tgmesh_stream::kv::{self, Bucket, KvError};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(super) use ask::Ask;
use show::Show;

use crate::assignments::Assignment;
use crate::backfill::{Kept, Order, Orders, State};
use crate::peers;
use crate::settings::BackfillArgs;

/// Most orders that are not over: each is looked at by every account.
const MAX_OPEN: usize = 1_000;
/// Between two looks at what is shown.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// When nobody has taken an order for so long, it is said what may be wrong.
const PATIENCE: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads what is asked for.
pub(super) fn read(args: &BackfillArgs, faults: &mut Faults) -> Option<Ask> {
    Ask::read(args, clock::now_us() / 1_000_000, faults)
}

/// Whether all was well.
pub(super) async fn run(ask: Ask, nats: &NatsConfig) -> anyhow::Result<bool> {
    let mesh = Mesh::connect(nats, "tgmesh-listener backfill")
        .await
        .context("couldn't connect to NATS")?;
    topology::wait(&mesh).await;
    let orders = Orders::open(&mesh).await.context("couldn't open the orders")?;
    match ask {
        Ask::List { json } => list(&orders, json).await,
        Ask::Cancel { id } => cancel(&orders, &id).await,
        Ask::Watch { id, json } => {
            let Some(kept) = orders.load(&id).await.context("couldn't read the order")? else {
                bail!("there is no order {id:?}: tgmesh backfill --list shows those that there are");
            };
            follow(&mesh, &orders, BTreeMap::from([(id, kept)]), json, None).await
        }
        Ask::Give {
            orders: wanted,
            detach,
            json,
            kept_from_s,
        } => {
            let given = give(&orders, wanted).await?;
            for (id, kept) in &given {
                if json {
                    show::json_line(id, &kept.order)?;
                } else {
                    println!("order {id}: {}", show::what(&kept.order));
                }
            }
            if detach {
                return Ok(true);
            }
            follow(&mesh, &orders, given, json, kept_from_s).await
        }
    }
}

async fn give(orders: &Orders, wanted: Vec<Order>) -> anyhow::Result<BTreeMap<String, Kept>> {
    let known = orders.load_all().await.context("couldn't read the orders")?;
    let open: Vec<_> = known.iter().filter(|(_, kept)| !kept.order.state.is_over()).collect();
    if open.len() + wanted.len() > MAX_OPEN {
        bail!(
            "{} orders are open, and {MAX_OPEN} are the most: wait for some, or tgmesh backfill --cancel ID",
            open.len()
        );
    }
    for order in &wanted {
        let is_same = |kept: &Kept| {
            let known = &kept.order;
            let overlaps = known.since_s < order.until_s && order.since_s < known.until_s;
            known.chat == order.chat && known.only == order.only && overlaps
        };
        if let Some((id, kept)) = open.iter().find(|(_, kept)| is_same(kept)) {
            bail!(
                "order {id} is fetching that already ({}): tgmesh backfill --watch {id} shows it, --cancel {id} takes \
                 it back",
                show::what(&kept.order)
            );
        }
    }
    let mut given = BTreeMap::new();
    for order in wanted {
        let id = format!("{:08x}", rand::random::<u32>());
        let kept = orders.give(&id, order).await.context("couldn't store the order")?;
        given.insert(id, kept);
    }
    Ok(given)
}

/// Shows orders until they are over, or until Ctrl-C.
async fn follow(
    mesh: &Mesh,
    orders: &Orders,
    mut watched: BTreeMap<String, Kept>,
    json: bool,
    kept_from_s: Option<i64>,
) -> anyhow::Result<bool> {
    let _following = AbortOnDropHandle::new(tokio::spawn(orders.clone().follow(CancellationToken::new())));
    let mut show = Show::new(json);
    let mut patience = Some(tokio::time::Instant::now() + PATIENCE);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        for (id, kept) in &mut watched {
            match orders.get(id) {
                Some(now) => *kept = now,
                // It was there a moment ago.
                None if orders.load(id).await.is_ok_and(|now| now.is_none()) => bail!("order {id} was deleted"),
                None => {}
            }
        }
        let is_over = watched.values().all(|kept| kept.order.state.is_over());
        show.orders(&watched, is_over)?;
        if is_over {
            break;
        }
        if patience.is_some_and(|until| tokio::time::Instant::now() >= until) {
            patience = None;
            for (id, kept) in &watched {
                if kept.order.state == State::Waiting {
                    let hint = why_it_waits(mesh, &kept.order)
                        .await
                        .unwrap_or_else(|error| error.to_string());
                    show.note(&format!("order {id} waits: {hint}"))?;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = &mut interrupted => {
                let ids: Vec<_> = watched.iter().filter(|(_, kept)| !kept.order.state.is_over()).collect();
                for (id, _) in ids {
                    show.note(&format!(
                        "order {id} goes on without this: tgmesh backfill --watch {id} shows it, --cancel {id} takes it back"
                    ))?;
                }
                return Ok(true);
            }
        }
    }
    let too_old = |kept: &Kept| kept_from_s.is_some_and(|from_s| kept.order.since_s < from_s);
    if let Some(from_s) = kept_from_s
        && watched.values().any(too_old)
    {
        show.note(&format!(
            "what is older than {} is beyond DETECTION_RETENTION: it is in the stream, and the archiver counts it \
             without storing it",
            show::date(from_s)
        ))?;
    }
    Ok(watched.values().all(|kept| kept.order.state == State::Done))
}

/// What may be missing for an order that nobody takes.
async fn why_it_waits(mesh: &Mesh, order: &Order) -> Result<String, KvError> {
    let bucket = async |name| kv::within(CALL_TIMEOUT, Bucket::open(mesh, name)).await;
    let leases = bucket(subject::LEASES).await?;
    let held = kv::within(CALL_TIMEOUT, leases.keys()).await?;
    if held.is_empty() {
        return Ok("no listener has an account now: start one, it takes the order by itself".to_owned());
    }
    if let Some(only) = &order.only {
        return Ok(if held.contains(only) {
            format!(
                "account {only} is not in the chat, or not in MONITORED_CHATS: tgmesh chats --account {only} shows it"
            )
        } else {
            format!("no listener has account {only} now: it takes the order when one has")
        });
    }
    if order.place.as_ref().is_some_and(|place| !held.contains(&place.account)) {
        return Ok("the account that began it is with no listener now: it goes on when one has it".to_owned());
    }
    let unseen =
        "no account watches the chat: add it to MONITORED_CHATS and see that an account is in it (tgmesh chats)";
    let Ok(chat_id) = order.chat.parse::<i64>() else {
        return Ok(format!("{unseen}, or it has another name"));
    };
    if peers::channel_id(chat_id).is_none() {
        return Ok(unseen.to_owned());
    }
    let assignments = bucket(subject::ASSIGNMENTS).await?;
    let entry = kv::within(CALL_TIMEOUT, assignments.get(&order.chat)).await?;
    let watcher = entry.and_then(|entry| serde_json::from_slice::<Assignment>(&entry.value).ok());
    Ok(match watcher {
        Some(watcher) if held.contains(&watcher.account) => {
            format!(
                "account {} watches the chat and has other orders before it",
                watcher.account
            )
        }
        Some(watcher) if !watcher.account.is_empty() => {
            format!(
                "account {} watches the chat, and no listener has it now",
                watcher.account
            )
        }
        _ => unseen.to_owned(),
    })
}

async fn list(orders: &Orders, json: bool) -> anyhow::Result<bool> {
    let mut all: Vec<_> = orders
        .load_all()
        .await
        .context("couldn't read the orders")?
        .into_iter()
        .collect();
    all.sort_by_key(|(_, kept)| kept.order.asked_ms);
    for (id, kept) in &all {
        if json {
            show::json_line(id, &kept.order)?;
        } else {
            writeln!(std::io::stdout(), "{}", show::line(id, &kept.order, None))?;
        }
    }
    if all.is_empty() && !json {
        eprintln!("no orders; those that ended are forgotten after 30 days");
    }
    Ok(true)
}

async fn cancel(orders: &Orders, id: &str) -> anyhow::Result<bool> {
    loop {
        let Some(kept) = orders.load(id).await.context("couldn't read the order")? else {
            bail!("there is no order {id:?}: tgmesh backfill --list shows those that there are");
        };
        if kept.order.state.is_over() {
            println!("order {id} is over: {}", show::line(id, &kept.order, None));
            return Ok(true);
        }
        let mut order = kept.order;
        order.state = State::Cancelled;
        order.waits_until_ms = None;
        order.changed_ms = clock::now_us() / 1_000;
        // Whoever carries it out writes after each page: what was written meanwhile is kept.
        let replaced = orders.replace(id, kept.revision, order).await;
        if let Some(kept) = replaced.context("couldn't write the order")? {
            println!("{}", show::line(id, &kept.order, None));
            println!("what was found until now stays");
            return Ok(true);
        }
    }
}
