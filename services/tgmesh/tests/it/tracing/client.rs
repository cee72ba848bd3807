//! A client that says of each detection that it has painted it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tgmesh::mesh::Mesh;
use tgmesh::token::Claims;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// What it was told of a detection.
#[derive(Debug, Clone)]
pub struct Told {
    pub id: String,
    pub traceparent: String,
}

impl Told {
    /// The trace's id.
    pub fn trace(&self) -> &str {
        self.traceparent.split('-').nth(1).unwrap()
    }
}

pub struct Client {
    told: Arc<Mutex<Vec<Told>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Client {
    /// Connects, and is subscribed to everything.
    pub async fn connect(mesh: &Mesh) -> Self {
        let token = mesh
            .signer()
            .unwrap()
            .sign(&Claims::operator("painter"), Duration::from_hours(1));
        let url = format!("{}/ws", mesh.url().replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", token.unwrap()).parse().unwrap();
        request.headers_mut().insert("Authorization", bearer);
        let stream = TcpStream::connect(mesh.url().trim_start_matches("http://"))
            .await
            .unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let subscribe = json!({ "type": "subscribe", "id": "s", "filter": {} }).to_string();
        socket.send(Message::text(subscribe)).await.unwrap();
        loop {
            let frame = socket.next().await.unwrap().unwrap();
            if frame.to_text().is_ok_and(|text| text.contains("\"subscribed\"")) {
                break;
            }
        }
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let hears = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                let Ok(frame) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else {
                    continue;
                };
                if frame["type"] != "detection" {
                    continue;
                }
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                hears.lock().unwrap().push(Told {
                    id: text(&frame["data"]["id"]),
                    traceparent: text(&frame["traceparent"]),
                });
                let at_ms = tgmesh_lifecycle::clock::now_us() as f64 / 1000.0;
                let rendered = json!({ "type": "rendered", "seq": frame["seq"], "at_ms": at_ms }).to_string();
                // Once more: that must not make a second span.
                for _ in 0..2 {
                    if socket.send(Message::text(rendered.clone())).await.is_err() {
                        return;
                    }
                }
            }
        });
        Self { told, task }
    }

    /// Everything it was told, in order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
