//! `tgmesh chats`: what accounts see, and what `MONITORED_CHATS` makes of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use grammers_tl_types::{enums, functions};
use serde_json::json;
use tgmesh_proto::detection::{Chat, ChatKind};

use super::desk::{Claim, Desk};
use super::sessions::opened;
use crate::chats::{Entry, folder};
use crate::figures::ChannelFigures;
use crate::login::{Application, Talk, advice};
use crate::peers::{self, Peers};
use crate::plain::{plain, span};
use crate::pump::{Dialogs, read_dialogs};
use crate::session::{Content, Keyring, MemorySession, Store};
use crate::settings::ChatsArgs;
use crate::watch::{Wanted, Watch};

/// An account's chats, and what the entries of `MONITORED_CHATS` mean among them.
struct Seen {
    chats: Vec<(Chat, Vec<Entry>)>,
    /// Entries that stand for none of them, with the reason.
    missing: Vec<(Entry, String)>,
    /// The listener that has the account: then this is what it knew when it stored the session.
    used_by: Option<String>,
}

/// What Telegram told, or a session knows.
#[derive(Default)]
struct Told {
    dialogs: Dialogs,
    folders: Vec<enums::DialogFilter>,
}

/// How each channel does, with the account that watches it.
type HowThey = HashMap<i64, (String, ChannelFigures)>;

/// Shows the chats of one account or all; whether each could be asked.
pub(super) async fn list(
    (store, keyring): (&Store, &Keyring),
    desk: &Desk,
    application: &Application,
    wanted: &Wanted,
    args: ChatsArgs,
) -> anyhow::Result<bool> {
    let all_accounts = store.list().await?;
    let mut how = HowThey::new();
    for account in &all_accounts {
        let figures = desk.figures(account).await.unwrap_or_default();
        // A channel that was handed over is in two values for a while.
        for channel in figures.channels {
            let known = how.get(&channel.id);
            if known.is_none_or(|(_, known)| known.last_post_s < channel.last_post_s) {
                how.insert(channel.id, (account.clone(), channel));
            }
        }
        for flood in figures.floods {
            let (method, wait) = (plain(&flood.method), span(flood.wait_s));
            eprintln!("tgmesh-listener: account {account}: Telegram asks to wait with {method}, {wait} left");
        }
    }
    let accounts = args.account.map_or(all_accounts, |account| vec![account]);
    let mut all = true;
    let mut out = std::io::stdout();
    for account in accounts {
        match look((store, keyring), desk, application, wanted, &account).await {
            Ok(seen) if args.json => show_json(&mut out, &account, wanted, &seen, &how)?,
            Ok(seen) => show(&mut out, &account, wanted, &seen, &how)?,
            Err(error) => {
                all = false;
                eprintln!("tgmesh-listener: account {}: {error:#}", plain(&account));
            }
        }
    }
    Ok(all)
}

async fn look(
    (store, keyring): (&Store, &Keyring),
    desk: &Desk,
    application: &Application,
    wanted: &Wanted,
    account: &str,
) -> anyhow::Result<Seen> {
    let (content, _) = opened(store, keyring, account).await?;
    let known = content.clone();
    let (told, used_by) = match desk.claim(account).await? {
        Claim::Ours(held) => (held.during(ask(content, application, wanted)).await?, None),
        Claim::Theirs(by) => (Told::default(), Some(by)),
    };
    Ok(compare(&known, told, wanted, used_by))
}

/// Asks Telegram.
async fn ask(content: Content, application: &Application, wanted: &Wanted) -> anyhow::Result<Told> {
    let session = Arc::new(MemorySession::new(content));
    let mut talk = Talk::open(session, application.api_id, application.dc.clone()).await?;
    talk.ask(&functions::updates::GetState {})
        .await
        .map_err(|error| advice(&error))?;
    let dialogs = read_dialogs(&talk.calls()).await.map_err(|error| advice(&error))?;
    let folders = if wanted.folders.is_empty() {
        Vec::new()
    } else {
        folder::read(&talk.calls()).await.map_err(|error| advice(&error))?
    };
    Ok(Told { dialogs, folders })
}

fn compare(known: &Content, told: Told, wanted: &Wanted, used_by: Option<String>) -> Seen {
    let Told { dialogs, folders } = told;
    let watch = Watch::new(wanted);
    let peers = Peers::restore(&known.channels, &watch);
    peers.learn(dialogs.chats, dialogs.users, &watch);
    let saved = known.channels.iter().map(|channel| peers::channel_chat_id(channel.id));
    let ids: Vec<i64> = match used_by {
        Some(_) => saved.collect(),
        None => dialogs.places.iter().map(|place| place.chat_id).collect(),
    };
    let set: HashSet<i64> = ids.iter().copied().collect();
    let mut meant = Vec::new();
    let mut missing = Vec::new();
    for entry in Entry::all(wanted) {
        let chats = match &entry {
            Entry::Id(id) => Some(vec![*id]),
            Entry::Name(name) => watch.id_of_name(name).map(|id| vec![id]),
            Entry::Invite(_) => known.entries.get(&entry.key()).map(|saved| saved.chats.clone()),
            Entry::Folder(_) if used_by.is_some() => known.entries.get(&entry.key()).map(|saved| saved.chats.clone()),
            Entry::Folder(title) => folder::chats_in(&folders, title, known.user_id, &set, &peers),
        };
        let chats: Vec<i64> = chats.unwrap_or_default();
        if chats.iter().any(|id| set.contains(id)) || (used_by.is_some() && is_found(known, &entry)) {
            meant.push((entry, chats));
        } else {
            let problem = problem(known, &entry);
            missing.push((entry, problem));
        }
    }
    let chats = ids.iter().map(|&id| {
        let chat = peers.chat(id, kind_of(id));
        let by = meant.iter().filter(|(_, chats)| chats.contains(&chat.id));
        let by = by.map(|(entry, _)| entry.clone()).collect();
        (chat, by)
    });
    Seen {
        chats: chats.collect(),
        missing,
        used_by,
    }
}

/// Whether the listener has found what an entry stands for, be it no channel.
fn is_found(known: &Content, entry: &Entry) -> bool {
    let saved = known.entries.get(&entry.key());
    saved.is_some_and(|saved| saved.problem.is_none() && !saved.chats.is_empty())
}

/// Why an entry stands for nothing here: as the listener found it, if it has looked.
fn problem(known: &Content, entry: &Entry) -> String {
    let found = known.entries.get(&entry.key()).and_then(|saved| saved.problem.clone());
    found.unwrap_or_else(|| {
        match entry {
            Entry::Id(_) => {
                "the account is in no such chat, and an id alone opens none: give its @name or an invite link"
            }
            Entry::Name(_) | Entry::Invite(_) => "the account is not in it; the listener joins it",
            Entry::Folder(_) => "the account has no folder with this name, or none of its chats is in it",
        }
        .to_owned()
    })
}

fn show(
    out: &mut impl std::io::Write,
    account: &str,
    wanted: &Wanted,
    seen: &Seen,
    how: &HowThey,
) -> anyhow::Result<()> {
    let chats = seen.chats.len();
    match &seen.used_by {
        None => writeln!(out, "account {account}: {chats} chats"),
        Some(by) => writeln!(
            out,
            "account {account}: in use by listener {}, so Telegram was not asked; {chats} channels that it knows",
            plain(by)
        ),
    }
    .context("couldn't write")?;
    for (chat, by) in &seen.chats {
        let name = chat
            .username
            .as_ref()
            .map_or_else(|| "-".to_owned(), |name| format!("@{}", plain(name)));
        let by: Vec<_> = by.iter().map(|entry| plain(&entry.to_string())).collect();
        let watched = match (wanted.all, by.is_empty()) {
            (_, false) => format!("watched ({})", by.join(", ")),
            (true, true) => "watched (*)".to_owned(),
            (false, true) => "not in MONITORED_CHATS".to_owned(),
        };
        let does = how.get(&chat.id).map_or_else(
            || "-".to_owned(),
            |(watcher, figures)| {
                let by = if watcher == account {
                    ""
                } else {
                    &format!(" by {watcher}")
                };
                format!("{}{by}", in_words(figures))
            },
        );
        let (id, kind, title) = (chat.id, chat.kind.as_str(), plain(&chat.title));
        writeln!(out, "{id}\t{kind}\t{name}\t{title}\t{watched}\t{does}").context("couldn't write")?;
    }
    for (entry, problem) in &seen.missing {
        writeln!(out, "missing\t{}\t{}", plain(&entry.to_string()), plain(problem)).context("couldn't write")?;
    }
    Ok(())
}

/// How a channel's posts come.
fn in_words(figures: &ChannelFigures) -> String {
    let seconds = |ms: u64| format!("{}.{}", ms / 1000, ms % 1000 / 100);
    let delay = figures.delay.map_or_else(
        || "no post seen yet".to_owned(),
        |delay| {
            let (p50, p99, last) = (seconds(delay.p50_ms), seconds(delay.p99_ms), seconds(delay.last_ms));
            format!("posts {p50} s late (p99 {p99} s, last {last} s)")
        },
    );
    let (way, interval) = (plain(&figures.way), seconds(figures.interval_ms));
    format!("{way}, looked at every {interval} s, {delay}")
}

fn show_json(
    out: &mut impl std::io::Write,
    account: &str,
    wanted: &Wanted,
    seen: &Seen,
    how: &HowThey,
) -> anyhow::Result<()> {
    for (chat, by) in &seen.chats {
        let mut line = json!({
            "account": account,
            "id": chat.id,
            "kind": chat.kind,
            "username": chat.username,
            "title": chat.title,
            "watched": wanted.all || !by.is_empty(),
            "by": by.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "used_by": seen.used_by,
        });
        if let Some((watcher, figures)) = how.get(&chat.id) {
            line["watched_by"] = watcher.as_str().into();
            line["way"] = figures.way.as_str().into();
            line["interval_ms"] = figures.interval_ms.into();
            line["posts"] = figures.posts.into();
            line["last_post_s"] = figures.last_post_s.into();
            // Strings and numbers can always be written.
            line["delay"] = serde_json::to_value(figures.delay).unwrap_or_default();
        }
        writeln!(out, "{line}").context("couldn't write")?;
    }
    for (entry, problem) in &seen.missing {
        let line = json!({ "account": account, "missing": entry.to_string(), "problem": problem });
        writeln!(out, "{line}").context("couldn't write")?;
    }
    Ok(())
}

fn kind_of(id: i64) -> ChatKind {
    match id {
        1.. => ChatKind::User,
        _ if peers::channel_id(id).is_some() => ChatKind::Supergroup,
        _ => ChatKind::Group,
    }
}
