//! `tgmesh chats`: what accounts see, and what `MONITORED_CHATS` makes of it.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use grammers_tl_types::functions;
use serde_json::json;
use tgmesh_proto::detection::{Chat, ChatKind};

use super::sessions::opened;
use crate::chats::{Entry, folder};
use crate::login::{Application, Talk, advice};
use crate::peers::{self, Peers};
use crate::plain::plain;
use crate::pump::read_dialogs;
use crate::session::{Content, Keyring, MemorySession, Store};
use crate::settings::ChatsArgs;
use crate::watch::{Wanted, Watch};

/// An account's chats, and what the entries of `MONITORED_CHATS` mean among them.
struct Seen {
    chats: Vec<(Chat, Vec<Entry>)>,
    /// Entries that stand for none of them, with the reason.
    missing: Vec<(Entry, String)>,
}

/// Shows the chats of one account or all; whether each could be asked.
pub(super) async fn list(
    store: &Store,
    keyring: &Keyring,
    application: &Application,
    wanted: &Wanted,
    args: ChatsArgs,
) -> anyhow::Result<bool> {
    let accounts = match args.account {
        Some(account) => vec![account],
        None => store.list().await?,
    };
    let mut all = true;
    let mut out = std::io::stdout();
    for account in accounts {
        match look(store, keyring, application, wanted, &account).await {
            Ok(seen) if args.json => show_json(&mut out, &account, wanted, &seen)?,
            Ok(seen) => show(&mut out, &account, wanted, &seen)?,
            Err(error) => {
                all = false;
                eprintln!("tgmesh-listener: account {}: {error:#}", plain(&account));
            }
        }
    }
    Ok(all)
}

async fn look(
    store: &Store,
    keyring: &Keyring,
    application: &Application,
    wanted: &Wanted,
    account: &str,
) -> anyhow::Result<Seen> {
    let (content, _) = opened(store, keyring, account).await?;
    let (own_id, known) = (content.user_id, content.clone());
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
    let watch = Watch::new(wanted);
    let peers = Peers::restore(&known.channels, &watch);
    peers.learn(dialogs.chats, dialogs.users, &watch);
    let ids: HashSet<i64> = dialogs.places.iter().map(|place| place.chat_id).collect();
    let mut meant = Vec::new();
    let mut missing = Vec::new();
    for entry in Entry::all(wanted) {
        let chats = match &entry {
            Entry::Id(id) => Some(vec![*id]),
            Entry::Name(name) => watch.id_of_name(name).map(|id| vec![id]),
            Entry::Invite(_) => known.entries.get(&entry.key()).map(|saved| saved.chats.clone()),
            Entry::Folder(title) => folder::chats_in(&folders, title, own_id, &ids, &peers),
        };
        let chats: Vec<i64> = chats.unwrap_or_default();
        if chats.iter().any(|id| ids.contains(id)) {
            meant.push((entry, chats));
        } else {
            let problem = problem(&known, &entry);
            missing.push((entry, problem));
        }
    }
    let chats = dialogs.places.iter().map(|place| {
        let chat = peers.chat(place.chat_id, kind_of(place.chat_id));
        let by = meant.iter().filter(|(_, chats)| chats.contains(&chat.id));
        let by = by.map(|(entry, _)| entry.clone()).collect();
        (chat, by)
    });
    Ok(Seen {
        chats: chats.collect(),
        missing,
    })
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

fn show(out: &mut impl std::io::Write, account: &str, wanted: &Wanted, seen: &Seen) -> anyhow::Result<()> {
    writeln!(out, "account {account}: {} chats", seen.chats.len()).context("couldn't write")?;
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
        let (id, kind, title) = (chat.id, chat.kind.as_str(), plain(&chat.title));
        writeln!(out, "{id}\t{kind}\t{name}\t{title}\t{watched}").context("couldn't write")?;
    }
    for (entry, problem) in &seen.missing {
        writeln!(out, "missing\t{}\t{}", plain(&entry.to_string()), plain(problem)).context("couldn't write")?;
    }
    Ok(())
}

fn show_json(out: &mut impl std::io::Write, account: &str, wanted: &Wanted, seen: &Seen) -> anyhow::Result<()> {
    for (chat, by) in &seen.chats {
        let line = json!({
            "account": account,
            "id": chat.id,
            "kind": chat.kind,
            "username": chat.username,
            "title": chat.title,
            "watched": wanted.all || !by.is_empty(),
            "by": by.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
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
