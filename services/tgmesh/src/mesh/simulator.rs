//! The simulator's control port, as this tool uses it.

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A client of the control port.
#[derive(Clone, Debug)]
pub struct Simulator {
    url: String,
    http: reqwest::Client,
}

/// What `POST /load` takes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadOrder {
    /// How many messages; without it they go on until told to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Messages a second; without it as fast as it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// In how many chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chats: Option<u32>,
    /// Share of messages with an address, 0 to 1.
    pub address_share: f64,
    /// Of everything it invents.
    pub seed: u64,
}

/// What `GET /load` gives.
#[derive(Clone, Debug, Deserialize)]
pub struct LoadState {
    /// `idle`, `running` or `done`.
    pub state: String,
    /// Messages sent so far.
    pub sent: u64,
}

/// One entry of the log of what was posted.
#[derive(Clone, Debug, Deserialize)]
pub struct Posted {
    /// Its chat's Bot API id.
    pub chat_id: i64,
    /// Message id.
    pub message_id: i64,
    /// `new`, `edit` or `delete`.
    pub kind: String,
    /// When it was sent, µs since the epoch.
    pub sent_us: i64,
    /// Addresses in it, in canonical form.
    pub addresses: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Posted>,
    next: u64,
}

/// The most the control port gives at once.
const PAGE: u32 = 10_000;

impl Simulator {
    pub(super) fn new(url: String, http: reqwest::Client) -> Self {
        Self { url, http }
    }

    /// The JSON of `GET /accounts`: names and auth keys, a secret.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn accounts(&self) -> Result<String> {
        let answer = self
            .http
            .get(format!("{}/accounts", self.url))
            .send()
            .await?
            .error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Plays believable chat at this rate; 0 stops it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn scenario(&self, rate: f64) -> Result<()> {
        self.post("/scenario", &serde_json::json!({ "rate": rate }))
            .await
            .context("couldn't start the scenario")
    }

    /// Posts one message and gives its id.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn post_message(&self, chat_id: i64, text: &str) -> Result<i64> {
        #[derive(Deserialize)]
        struct Answer {
            message_id: i64,
        }
        let body = serde_json::json!({ "chat_id": chat_id, "text": text });
        let request = self.http.post(format!("{}/messages", self.url)).json(&body);
        let answer: Answer = request.send().await?.error_for_status()?.json().await?;
        Ok(answer.message_id)
    }

    /// The Bot API ids of its chats.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn chats(&self) -> Result<Vec<i64>> {
        #[derive(Deserialize)]
        struct Chat {
            id: i64,
        }
        let chats: Vec<Chat> = self.get("/chats").await?;
        Ok(chats.into_iter().map(|chat| chat.id).collect())
    }

    /// Starts a load.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn load(&self, order: &LoadOrder) -> Result<()> {
        self.post("/load", order).await.context("couldn't start the load")
    }

    /// How the load goes.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn load_state(&self) -> Result<LoadState> {
        self.get("/load").await
    }

    /// Ends a load that would go on.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stop_load(&self) -> Result<()> {
        self.post("/load/stop", &serde_json::json!({}))
            .await
            .context("couldn't stop the load")
    }

    /// Everything that was posted, oldest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn posted(&self) -> Result<Vec<Posted>> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page: Page = self.get(&format!("/messages?after={after}&limit={PAGE}")).await?;
            if page.items.is_empty() {
                return Ok(all);
            }
            all.extend(page.items);
            after = page.next;
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await?
            .error_for_status()?;
        answer
            .json()
            .await
            .with_context(|| format!("couldn't read the simulator's {path}"))
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<()> {
        let answer = self.http.post(format!("{}{path}", self.url)).json(body).send().await?;
        let status = answer.status();
        if !status.is_success() {
            anyhow::bail!(
                "the simulator answers {status}: {}",
                answer.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }
}
