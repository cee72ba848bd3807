//! A world with several listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::Deserialize;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::kv::Bucket;
use tgmesh_stream::lease::Holder;
use tgmesh_stream::window;
use tgmesh_telegram_sim::{Config, KeyUse, LoadSpec, LoadState};
use tgmesh_testkit::process::Spec;
use tgmesh_testkit::{eventually, until};

use crate::world::{LIMIT, Listener, World, addresses, assert_same, streams};

/// As short as a busy machine allows.
pub const LEASE: Duration = Duration::from_secs(4);
/// A takeover after a crash lasts no longer beyond the lease.
const TAKEOVER: Duration = Duration::from_secs(5);

pub struct Fleet {
    pub world: World,
    pub pods: Vec<Pod>,
    leases: Bucket,
    ledger: Bucket,
    started: usize,
}

pub struct Pod {
    pub name: String,
    pub listener: Listener,
}

#[derive(Debug, Deserialize)]
struct Chapter {
    first: i32,
    done: Vec<(i32, i32)>,
}

impl Fleet {
    pub async fn start(config: Config) -> Self {
        let nats = tgmesh_testkit::nats::Server::start().await.unwrap();
        let streams = tgmesh_stream::NatsConfig {
            lease_time: LEASE,
            ..streams(&nats)
        };
        Self::on(World::start_on(nats, streams, config).await).await
    }

    pub async fn on(world: World) -> Self {
        world.import(world.spec()).await;
        let bucket = async |name| Bucket::open(&world.mesh, name).await.unwrap();
        Self {
            leases: bucket("tgmesh_leases").await,
            ledger: bucket("tgmesh_ledger").await,
            world,
            pods: Vec::new(),
            started: 0,
        }
    }

    /// One more pod.
    pub fn spawn(&mut self, slots: usize) {
        self.spawn_with(slots, |spec| spec);
    }

    /// One more pod, with other settings.
    pub fn spawn_with(&mut self, slots: usize, set: impl FnOnce(Spec) -> Spec) {
        self.started += 1;
        let name = format!("pod-{}", self.started);
        let spec = self.world.spec().env("INSTANCE", &name);
        let listener = Listener::start(set(spec.env("LISTENER_SLOTS", slots.to_string())));
        self.pods.push(Pod { name, listener });
    }

    /// One more pod, ready.
    pub async fn add(&mut self, slots: usize) {
        self.spawn(slots);
        self.pods.last().unwrap().listener.ready().await;
    }

    /// Which pod holds which account.
    pub async fn held(&self) -> BTreeMap<String, String> {
        let mut held = BTreeMap::new();
        for key in self.leases.keys().await.unwrap_or_default() {
            if let Ok(Some(entry)) = self.leases.get(&key).await {
                let holder: Holder = serde_json::from_slice(&entry.value).unwrap();
                held.insert(key, holder.instance);
            }
        }
        held
    }

    /// Waits until pods of this fleet hold all accounts.
    pub async fn every_account_is_held(&self) {
        let accounts = self.world.sim().accounts().len();
        let all = async || {
            let held = self.held().await;
            held.len() == accounts && held.values().all(|name| self.pods.iter().any(|pod| pod.name == *name))
        };
        assert!(
            until(LIMIT, all).await,
            "{:?} {}",
            self.held().await,
            self.pods[0].listener.process.log_tail()
        );
    }

    pub fn load(&self, rate: f64, seed: u64) {
        let load = LoadSpec {
            messages: None,
            rate: Some(rate),
            chats: None,
            address_share: 0.3,
            seed,
        };
        self.world.sim().start_load(load).unwrap();
    }

    pub async fn end_load(&self) {
        self.world.sim().stop_load();
        eventually(LIMIT, "the load run ends", async || {
            self.world.sim().load().state == LoadState::Done
        })
        .await;
    }

    /// A pod that has accounts.
    async fn owner(&self, random: &mut StdRng) -> (usize, Vec<String>) {
        self.every_account_is_held().await;
        let held = self.held().await;
        let owners: BTreeSet<_> = held.values().collect();
        let name = owners.iter().nth(random.random_range(0..owners.len())).unwrap();
        let accounts = held.iter().filter(|(_, owner)| owner == name);
        let accounts = accounts.map(|(account, _)| account.clone()).collect();
        (self.pods.iter().position(|pod| pod.name == **name).unwrap(), accounts)
    }

    /// Freezes a pod until others have its accounts, and lets it run on.
    pub async fn pause_and_resume(&mut self, random: &mut StdRng) {
        let (victim, accounts) = self.owner(random).await;
        let pod = &self.pods[victim];
        println!("{} is paused, which has {accounts:?}", pod.name);
        let paused = Instant::now();
        pod.listener.process.pause();
        self.are_taken_over(&accounts, paused).await;
        // The successors' writes are many by now.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        let revisions = self.revisions(&accounts).await;
        let pod = &self.pods[victim];
        let events = self.by(&pod.name).await;
        pod.listener.process.resume();
        eventually(LIMIT, "it notices", async || {
            pod.listener.readiness().await.contains("up") && pod.listener.is_ready().await
        })
        .await;
        // What it did with accounts that are not its own any more would show by now.
        let held = self.held().await;
        assert!(accounts.iter().all(|account| held[account] != pod.name), "{held:?}");
        for (key, writer) in self.revisions(&accounts).await {
            let before = revisions.get(&key);
            assert!(
                !writer.starts_with(&format!("{}/", pod.name)) || before == Some(&writer),
                "{key} was written by {writer}"
            );
        }
        assert_eq!(
            self.by(&pod.name).await,
            events,
            "it published what was not its own to tell"
        );
        assert!(pod.listener.process.is_running());
    }

    /// Kills a pod, waits for its successor, and starts another one.
    pub async fn kill_and_replace(&mut self, random: &mut StdRng) {
        let (victim, accounts) = self.owner(random).await;
        let pod = self.pods.remove(victim);
        println!("{} is killed, which has {accounts:?}", pod.name);
        let killed = Instant::now();
        pod.listener.process.kill();
        self.are_taken_over(&accounts, killed).await;
        self.add(3).await;
    }

    /// Stops a pod in order, and starts another one.
    pub async fn stop_and_replace(&mut self, random: &mut StdRng) {
        let (victim, accounts) = self.owner(random).await;
        let pod = self.pods.remove(victim);
        println!("{} is stopped, which has {accounts:?}", pod.name);
        let stopped = Instant::now();
        assert!(
            pod.listener.process.stop(LIMIT).await.success(),
            "{}",
            pod.listener.process.log_tail()
        );
        self.are_taken_over(&accounts, stopped).await;
        self.add(3).await;
    }

    /// Waits until each account is used by a connection that is younger than this.
    async fn are_taken_over(&self, accounts: &[String], since: Instant) {
        for account in accounts {
            let first = || {
                let uses = self.world.sim().key_uses(account);
                uses.iter().map(|one| one.first).find(|first| *first > since)
            };
            assert!(
                until(LIMIT, async || first().is_some()).await,
                "{account} is not taken over: {:?}",
                self.held().await
            );
            let took = first().unwrap() - since;
            println!("{account} is taken over after {} ms", took.as_millis());
            assert!(took <= LEASE + TAKEOVER, "{account} is taken over after {took:?}");
        }
    }

    /// The connections of each account's key.
    pub fn uses(&self) -> impl Iterator<Item = Vec<KeyUse>> + '_ {
        let accounts = self.world.sim().accounts().into_iter();
        accounts.map(|account| self.world.sim().key_uses(&account.name))
    }

    /// No packet of a connection came after the first one of a later connection.
    pub fn each_key_had_one_user_at_a_time(&self) {
        for uses in self.uses() {
            for pair in uses.windows(2) {
                assert!(pair[0].last < pair[1].first, "{pair:?}");
            }
        }
    }

    /// The channels that every account sees.
    pub fn shared_chats(&self) -> Vec<i64> {
        let accounts = self.world.sim().accounts().len();
        let chats = self.world.sim().chats().into_iter();
        let shared = chats.filter(|chat| chat.kind.has_own_numbers() && chat.accounts.len() == accounts);
        shared.map(|chat| chat.id).collect()
    }

    /// Waits until each of these channels is with a living account, and with the same one for a
    /// while; gives who it is.
    pub async fn settled(&self, chats: &[i64]) -> BTreeMap<i64, String> {
        let bucket = Bucket::open(&self.world.mesh, "tgmesh_assignments").await.unwrap();
        let began = Instant::now();
        let mut last = BTreeMap::new();
        let mut since = began;
        loop {
            let held = self.held().await;
            let mut now = BTreeMap::new();
            for &chat in chats {
                if let Some(entry) = bucket.get(&chat.to_string()).await.unwrap() {
                    let assigned: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
                    let account = assigned["account"].as_str().unwrap().to_owned();
                    if held.contains_key(&account) {
                        now.insert(chat, account);
                    }
                }
            }
            if now != last {
                (last, since) = (now, Instant::now());
            } else if last.len() == chats.len() && since.elapsed() > LEASE {
                return last;
            }
            assert!(began.elapsed() < 2 * LIMIT, "{last:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many channels are with another account.
    pub fn moved(before: &BTreeMap<i64, String>, after: &BTreeMap<i64, String>) -> usize {
        before
            .iter()
            .filter(|(chat, account)| after[*chat] != **account)
            .count()
    }

    /// Waits until every id of these channels is in some ledger, and looks for each of their finds
    /// in the stream, once.
    pub async fn shared_are_accounted(&self, chats: &[i64]) {
        let begun = async || {
            let unaccounted = self.unaccounted().await;
            let ours = |key: &String| chats.iter().any(|chat| key.starts_with(&format!("{chat} ")));
            !unaccounted.keys().any(ours)
        };
        assert!(until(2 * LIMIT, begun).await, "{:?}", self.unaccounted().await);
        let mut expected = BTreeSet::new();
        for item in self.world.sim().posted(0, usize::MAX).items {
            if chats.contains(&item.chat_id) {
                expected.extend(item.addresses);
            }
        }
        assert!(expected.len() > 20, "{} finds are too few", expected.len());
        let whole = async || {
            let events = self.world.events().await;
            let found = events.iter().filter(|event| chats.contains(&event.chat.id)).count();
            found >= expected.len()
        };
        eventually(LIMIT, "every find of them is told", whole).await;
        let events = self.world.events().await;
        let of_them: Vec<_> = events.iter().filter(|event| chats.contains(&event.chat.id)).collect();
        let found: BTreeSet<_> = of_them.iter().map(|event| event.address.clone()).collect();
        assert!(found == expected, "{} of {} finds", found.len(), expected.len());
        assert_eq!(of_them.len(), expected.len(), "a find is told twice");
    }

    /// Who wrote each chapter of these accounts.
    async fn revisions(&self, accounts: &[String]) -> BTreeMap<String, String> {
        #[derive(Deserialize)]
        struct Written {
            by: String,
        }
        let mut found = BTreeMap::new();
        for key in self.ledger.keys().await.unwrap() {
            if accounts.iter().any(|account| key.starts_with(&format!("{account}.")))
                && let Some(entry) = self.ledger.get(&key).await.unwrap()
            {
                let written: Written = rmp_serde::from_slice(&entry.value).unwrap();
                found.insert(key, written.by);
            }
        }
        found
    }

    /// How many events of the stream are by this pod.
    async fn by(&self, pod: &str) -> usize {
        let events = self.world.events().await;
        events.iter().filter(|event| event.listener.instance == pod).count()
    }

    /// The accounts that entries of this kind in AUDIT are about.
    pub async fn audited(&self, event: &str) -> Vec<String> {
        let filter = subject::audit("listener", event);
        let mut window = window::read(&self.world.mesh, subject::AUDIT, 1, None, &[&filter])
            .await
            .unwrap();
        let mut found = Vec::new();
        while let Some(delivery) = window.next().await.unwrap() {
            found.extend(codec::decode_audit(&delivery.payload).unwrap().actor);
        }
        found
    }

    /// Waits until every id that was posted is in some account's ledger, and compares what was
    /// posted with what is in the stream.
    pub async fn all_accounted(&self, what: &str) {
        assert!(
            until(2 * LIMIT, async || self.unaccounted().await.is_empty()).await,
            "{what}: not accounted for: {:?}\n{}",
            self.unaccounted().await,
            self.pods[0].listener.process.log_tail()
        );
        let expected = self.world.posted();
        let events = self
            .world
            .wait_for(expected.values().sum(), &self.pods[0].listener)
            .await;
        assert_same(&addresses(&events), &expected, &self.pods[0].listener);
        let ids: BTreeSet<_> = events.iter().map(|event| event.id.to_string()).collect();
        assert_eq!(ids.len(), events.len(), "{what}: an event is in the stream twice");
    }

    /// Message ids that are in no account's ledger although they came after the first that is, by
    /// chat. In basic groups and private chats every account has numbers and a ledger of its own.
    async fn unaccounted(&self) -> BTreeMap<String, BTreeSet<i32>> {
        let mut missing = BTreeMap::new();
        for chat in self.world.sim().chats() {
            let is_own = !chat.kind.has_own_numbers();
            let (mut posted, mut done, mut first) = (BTreeSet::new(), BTreeSet::new(), i32::MAX);
            for account in &chat.accounts {
                let ids = self.world.sim().ids(chat.id, Some(account)).unwrap();
                let ids = all(&ids.exists).chain(all(&ids.deleted));
                let key = format!("{account}.{}", if is_own { 0 } else { chat.id });
                let Some(entry) = self.ledger.get(&key).await.unwrap() else {
                    continue;
                };
                let chapter: Chapter = rmp_serde::from_slice(&entry.value).unwrap();
                if is_own {
                    let done: BTreeSet<i32> = all(&chapter.done).collect();
                    let open: BTreeSet<i32> = ids.filter(|id| *id >= chapter.first && !done.contains(id)).collect();
                    missing.insert(format!("{account} {} {:?}", chat.id, chat.kind), open);
                } else {
                    posted.extend(ids);
                    done.extend(all(&chapter.done));
                    first = first.min(chapter.first);
                }
            }
            let open = posted.difference(&done).copied().filter(|id| *id >= first).collect();
            missing.insert(format!("{} {:?}", chat.id, chat.kind), open);
        }
        missing.retain(|_, ids| !ids.is_empty());
        missing
    }
}

fn all(ranges: &[(i32, i32)]) -> impl Iterator<Item = i32> + '_ {
    ranges.iter().flat_map(|&(start, end)| start..=end)
}
