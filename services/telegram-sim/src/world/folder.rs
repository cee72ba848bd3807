//! Folders of chats, which people manage in their own client.

use serde::{Deserialize, Serialize};

/// A folder of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Its name.
    pub title: String,
    /// Bot-API ids of the chats that were put into it.
    #[serde(default)]
    pub chats: Vec<i64>,
    /// Ids of the chats that were taken out of it.
    #[serde(default)]
    pub without: Vec<i64>,
    /// Whether it has all channels.
    #[serde(default)]
    pub broadcasts: bool,
    /// Whether it has all groups.
    #[serde(default)]
    pub groups: bool,
}
