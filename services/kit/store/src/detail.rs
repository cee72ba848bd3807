//! The parts of an event that have no columns of their own, as the JSON in `detail` holds them:
//! under the names of the event, without what stands in a column.

use serde::Serialize;
use tgmesh_proto::detection::{self, ChatKind, Forward, SenderKind};

#[derive(Serialize)]
pub(crate) struct Chat<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    kind: ChatKind,
}

impl<'a> Chat<'a> {
    pub(crate) fn of(chat: &'a detection::Chat) -> Self {
        Self {
            title: &chat.title,
            username: chat.username.as_deref(),
            kind: chat.kind,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_from: Option<&'a Forward>,
}

impl<'a> Message<'a> {
    pub(crate) fn of(message: &'a detection::Message) -> Self {
        Self {
            link: message.link.as_deref(),
            reply_to: message.reply_to,
            forward_from: message.forward_from.as_ref(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Sender<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    name: &'a str,
    kind: SenderKind,
}

impl<'a> Sender<'a> {
    pub(crate) fn of(sender: &'a detection::Sender) -> Self {
        Self {
            username: sender.username.as_deref(),
            name: &sender.name,
            kind: sender.kind,
        }
    }
}
