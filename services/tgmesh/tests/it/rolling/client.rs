//! A client as the contract wants it: it comes back to any gateway, and goes on after its place.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::pods::{OF_EACH, Pods};

const PAUSE: Duration = Duration::from_millis(50);

pub struct Client {
    told: Arc<Mutex<Told>>,
    task: tokio::task::JoinHandle<()>,
}

/// What it was told over its life.
#[derive(Default)]
struct Told {
    /// Sequence after which it began, once it is subscribed.
    since: Option<u64>,
    seqs: Vec<u64>,
    /// Gaps, and resumes that were not whole.
    gaps: usize,
    connections: usize,
    epoch: Value,
    position: u64,
}

impl Client {
    /// Connects, and does so again whenever the connection ends, to one gateway after the other.
    pub fn start(pods: &Pods, n: usize) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let (gateways, token) = (pods.gateways(), pods.token());
        let hears = Arc::clone(&told);
        let task = tokio::spawn(async move {
            for turn in n.. {
                // However it ends, the next one is tried.
                let _ = listen(&gateways[turn % OF_EACH], &token, &hears).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { told, task }
    }

    pub fn is_subscribed(&self) -> bool {
        self.told.lock().unwrap().since.is_some()
    }

    pub fn count(&self) -> usize {
        self.told.lock().unwrap().seqs.len()
    }

    pub fn seqs(&self) -> Vec<u64> {
        self.told.lock().unwrap().seqs.clone()
    }

    pub fn since(&self) -> u64 {
        self.told.lock().unwrap().since.unwrap()
    }

    pub fn gaps(&self) -> usize {
        self.told.lock().unwrap().gaps
    }

    pub fn connections(&self) -> usize {
        self.told.lock().unwrap().connections
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(address: &str, token: &str, told: &Mutex<Told>) -> Option<()> {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("Authorization", bearer);
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
    let mut subscribe = json!({ "type": "subscribe", "id": "s", "filter": {} });
    {
        let told = told.lock().unwrap();
        if told.since.is_some() {
            subscribe["resume"] = json!({ "epoch": told.epoch, "after": told.position });
        }
    }
    socket.send(Message::text(subscribe.to_string())).await.ok()?;
    loop {
        let message = socket.next().await?.ok()?;
        let Message::Text(text) = message else { continue };
        told.lock().unwrap().note(&serde_json::from_str(&text).unwrap());
    }
}

impl Told {
    fn note(&mut self, frame: &Value) {
        let seq = || frame["seq"].as_u64().unwrap();
        match frame["type"].as_str().unwrap() {
            "subscribed" => {
                self.connections += 1;
                if self.since.is_none() {
                    self.since = Some(seq());
                    self.position = seq();
                    self.epoch = frame["epoch"].clone();
                } else if frame["recovered"] != true {
                    self.gaps += 1;
                }
            }
            "detection" => {
                self.seqs.push(seq());
                self.position = seq();
            }
            "position" => self.position = seq(),
            "gap" => self.gaps += 1,
            "welcome" | "reconnect" => {}
            _ => panic!("{frame}"),
        }
    }
}
