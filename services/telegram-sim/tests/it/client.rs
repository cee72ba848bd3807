//! A grammers client with a seeded session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grammers_client::Client;
use grammers_client::tl::{enums, functions, types};
use grammers_mtsender::{InvocationError, SenderPool};
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatInfo, ChatKind, Config, Draft, Running, start};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take that is expected to happen.
pub const SOON: Duration = Duration::from_secs(10);

pub struct Telegram {
    pub client: Client,
    pub updates: mpsc::Receiver<UpdatesLike>,
    runner: JoinHandle<()>,
}

impl Drop for Telegram {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

pub async fn simulator(accounts: usize, chats: usize) -> Running {
    start(Config {
        accounts,
        chats,
        ..Config::default()
    })
    .await
    .unwrap()
}

pub async fn connect(running: &Running, account: usize) -> Telegram {
    let info = &running.sim.accounts()[account];
    let key = (0..256)
        .map(|i| u8::from_str_radix(&info.auth_key[i * 2..i * 2 + 2], 16).unwrap())
        .collect::<Vec<_>>();
    connect_with(info.address.parse().unwrap(), key.try_into().unwrap()).await
}

/// Connects and asks for the state, from when on updates come.
pub async fn connect_with(address: SocketAddr, key: [u8; 256]) -> Telegram {
    let telegram = dial(address, key).await;
    telegram.client.invoke(&functions::updates::GetState {}).await.unwrap();
    telegram
}

/// Prepares a client; it connects with its first request.
pub async fn dial(address: SocketAddr, key: [u8; 256]) -> Telegram {
    let SocketAddr::V4(ipv4) = address else {
        panic!("{address} is no IPv4 address")
    };
    let session = Arc::new(MemorySession::default());
    session.set_home_dc_id(2).await.unwrap();
    session
        .set_dc_option(&DcOption {
            id: 2,
            ipv4,
            ipv6: std::net::SocketAddrV6::new(ipv4.ip().to_ipv6_mapped(), ipv4.port(), 0, 0),
            auth_key: Some(key),
        })
        .await
        .unwrap();
    let parameters = grammers_mtsender::ConnectionParams {
        updates_channel_capacity: 100_000.try_into().unwrap(),
        ..Default::default()
    };
    let SenderPool {
        runner,
        handle,
        updates,
    } = SenderPool::with_configuration(session, 1, parameters);
    Telegram {
        client: Client::new(handle),
        updates,
        runner: tokio::spawn(runner.run()),
    }
}

impl Telegram {
    pub async fn pts(&self) -> i32 {
        let enums::updates::State::State(state) = self.client.invoke(&functions::updates::GetState {}).await.unwrap();
        state.pts
    }

    /// The next update of any kind, with the peers that came along.
    pub async fn next(&mut self) -> (enums::Update, Vec<enums::User>, Vec<enums::Chat>) {
        match tokio::time::timeout(SOON, self.updates.recv())
            .await
            .expect("an update")
            .unwrap()
        {
            UpdatesLike::Updates(enums::Updates::Updates(mut all)) => {
                assert_eq!(all.updates.len(), 1);
                (all.updates.remove(0), all.users, all.chats)
            }
            UpdatesLike::Updates(enums::Updates::UpdateShort(short)) => (short.update, vec![], vec![]),
            other => panic!("{other:?}"),
        }
    }

    /// The channel as this account may name it.
    pub async fn channel(&self, username: &str) -> types::InputChannel {
        let found = self
            .client
            .invoke(&functions::contacts::ResolveUsername {
                username: username.to_owned(),
                referer: None,
            })
            .await
            .unwrap();
        let enums::contacts::ResolvedPeer::Peer(found) = found;
        match &found.chats[..] {
            [enums::Chat::Channel(channel)] => types::InputChannel {
                channel_id: channel.id,
                access_hash: channel.access_hash.unwrap(),
            },
            other => panic!("{other:?}"),
        }
    }
}

pub fn rpc_error<T: std::fmt::Debug>(result: Result<T, InvocationError>) -> (i32, String) {
    match result.unwrap_err() {
        InvocationError::Rpc(error) => (error.code, error.name),
        other => panic!("{other:?}"),
    }
}

/// The first chat of a kind that the first account is in.
pub fn chat_of(running: &Running, kind: ChatKind) -> ChatInfo {
    running
        .sim
        .chats()
        .into_iter()
        .find(|chat| chat.kind == kind && chat.accounts.iter().any(|name| name == "sim-1"))
        .unwrap()
}

pub fn draft(chat: &ChatInfo, text: &str) -> Draft {
    Draft {
        chat_id: chat.id,
        text: text.to_owned(),
        ..Draft::default()
    }
}
