//! Every fault as a client meets it: healthy, broken, healthy.

mod control;
mod differences;
mod links;
mod load;
mod posts;
mod pushes;
mod requests;
mod unreadable;

use grammers_client::tl::enums::updates::ChannelDifference;
use grammers_client::tl::enums::{self, Update};
use grammers_client::tl::{functions, types};
use grammers_mtsender::InvocationError;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatInfo, Fault, FaultKind, Running};

use crate::client::{SOON, Telegram, draft};

/// Puts a fault to work and gives its name.
fn inject(running: &Running, fault: Fault) -> String {
    running.sim.inject(fault).unwrap()
}

fn on(chat: &ChatInfo, kind: FaultKind) -> Fault {
    Fault::new(kind).chat(chat.id)
}

fn hits(running: &Running, id: &str) -> u64 {
    let reports = running.sim.faults();
    reports.iter().find(|report| report.id == id).unwrap().hits
}

fn post(running: &Running, chat: &ChatInfo, text: &str) -> i32 {
    running.sim.post(draft(chat, text)).unwrap().message_id
}

/// Whatever comes next.
async fn arrival(telegram: &mut Telegram) -> UpdatesLike {
    tokio::time::timeout(SOON, telegram.updates.recv())
        .await
        .expect("something comes")
        .expect("the client runs")
}

/// The number and the pts of the channel's new message that comes next.
async fn next_post(telegram: &mut Telegram) -> (i32, i32) {
    match telegram.next().await.0 {
        Update::NewChannelMessage(new) => (new.message.id(), new.pts),
        other => panic!("{other:?}"),
    }
}

/// The channel as the account may name it, and its pts.
async fn channel(telegram: &Telegram, chat: &ChatInfo) -> (types::InputChannel, i32) {
    let channel = telegram.channel(chat.username.as_deref().unwrap()).await;
    let ask = functions::channels::GetFullChannel {
        channel: channel.clone().into(),
    };
    let enums::messages::ChatFull::Full(full) = telegram.client.invoke(&ask).await.unwrap();
    let enums::ChatFull::ChannelFull(full) = full.full_chat else {
        panic!("no channel")
    };
    (channel, full.pts)
}

fn difference_since(channel: &types::InputChannel, pts: i32) -> functions::updates::GetChannelDifference {
    functions::updates::GetChannelDifference {
        force: false,
        channel: channel.clone().into(),
        filter: enums::ChannelMessagesFilter::Empty,
        pts,
        limit: 100,
    }
}

/// The numbers of the new messages that the channel's difference brings.
async fn missed(telegram: &Telegram, channel: &types::InputChannel, pts: i32) -> Vec<i32> {
    let answer = telegram.client.invoke(&difference_since(channel, pts)).await.unwrap();
    match answer {
        ChannelDifference::Difference(difference) => ids(&difference.new_messages),
        ChannelDifference::Empty(_) => Vec::new(),
        ChannelDifference::TooLong(_) => panic!("too long"),
    }
}

fn history_of(channel: &types::InputChannel) -> functions::messages::GetHistory {
    functions::messages::GetHistory {
        peer: types::InputPeerChannel {
            channel_id: channel.channel_id,
            access_hash: channel.access_hash,
        }
        .into(),
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: 5,
        max_id: 0,
        min_id: 0,
        hash: 0,
    }
}

fn messages_of(channel: &types::InputChannel, ids: &[i32]) -> functions::channels::GetMessages {
    functions::channels::GetMessages {
        channel: channel.clone().into(),
        id: ids.iter().map(|id| types::InputMessageId { id: *id }.into()).collect(),
    }
}

fn found(answer: enums::messages::Messages) -> Vec<enums::Message> {
    match answer {
        enums::messages::Messages::ChannelMessages(found) => found.messages,
        other => panic!("{other:?}"),
    }
}

fn ids(messages: &[enums::Message]) -> Vec<i32> {
    messages.iter().map(enums::Message::id).collect()
}

/// The code and text of an `rpc_error`, and the number in it.
fn refusal<T: std::fmt::Debug>(result: Result<T, InvocationError>) -> (i32, String, Option<u32>) {
    match result.unwrap_err() {
        InvocationError::Rpc(error) => (error.code, error.name, error.value),
        other => panic!("{other:?}"),
    }
}
