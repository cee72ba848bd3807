//! How often an account may ask Telegram for what.
//!
//! Telegram counts the requests of each method by itself, and names no limits: it answers one too
//! many with a wait, and the more often that happens the longer the waits become. So each method
//! has a budget here that stays below what is known to be taken, and a wait closes that method for
//! that account until it is over, whoever asks, and nothing else. Requests that are not made are
//! answered here, as Telegram would. What belongs to an account outlives its connections.
//!
//! After a wait a method goes on at half of its speed, and regains it while nothing happens; a
//! method that is refused again at the first try waits longer than Telegram says.

mod budget;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use grammers_tl_types::{Identifiable as _, functions};

use crate::stats::Requests;
use budget::{Answer, Budget};

/// A wait that is worth a warning, and another account's help.
pub const LONG: Duration = Duration::from_secs(30);

/// What is asked for, as far as it has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `updates.getChannelDifference`
    ChannelDifference,
    /// `updates.getDifference`
    Difference,
    /// `messages.getPeerDialogs`: places of up to a hundred chats.
    PeerDialogs,
    /// `messages.getDialogs`
    Dialogs,
    /// `messages.getHistory`
    History,
    /// `channels.getMessages`
    ChannelMessages,
    /// `messages.getMessages`
    Messages,
    /// `messages.getDialogFilters`: folders.
    Folders,
    /// `contacts.resolveUsername`
    ResolveUsername,
    /// `channels.joinChannel`
    JoinChannel,
    /// `messages.checkChatInvite`
    CheckInvite,
    /// `messages.importChatInvite`
    ImportInvite,
    /// Everything else, each method closed by itself.
    Other,
}

impl Method {
    /// All of them, in the order of the variants.
    pub const ALL: [Self; 13] = [
        Self::ChannelDifference,
        Self::Difference,
        Self::PeerDialogs,
        Self::Dialogs,
        Self::History,
        Self::ChannelMessages,
        Self::Messages,
        Self::Folders,
        Self::ResolveUsername,
        Self::JoinChannel,
        Self::CheckInvite,
        Self::ImportInvite,
        Self::Other,
    ];

    /// The method with this constructor.
    #[must_use]
    pub fn of(constructor: u32) -> Self {
        let all = Self::ALL.into_iter();
        all.filter(|method| *method != Self::Other)
            .find(|method| method.constructor() == constructor)
            .unwrap_or(Self::Other)
    }

    /// Telegram's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            known => grammers_tl_types::name_for_id(known.constructor()),
        }
    }

    fn constructor(self) -> u32 {
        use functions::{channels, contacts, messages, updates};
        match self {
            Self::ChannelDifference => updates::GetChannelDifference::CONSTRUCTOR_ID,
            Self::Difference => updates::GetDifference::CONSTRUCTOR_ID,
            Self::PeerDialogs => messages::GetPeerDialogs::CONSTRUCTOR_ID,
            Self::Dialogs => messages::GetDialogs::CONSTRUCTOR_ID,
            Self::History => messages::GetHistory::CONSTRUCTOR_ID,
            Self::ChannelMessages => channels::GetMessages::CONSTRUCTOR_ID,
            Self::Messages => messages::GetMessages::CONSTRUCTOR_ID,
            Self::Folders => messages::GetDialogFilters::CONSTRUCTOR_ID,
            Self::ResolveUsername => contacts::ResolveUsername::CONSTRUCTOR_ID,
            Self::JoinChannel => channels::JoinChannel::CONSTRUCTOR_ID,
            Self::CheckInvite => messages::CheckChatInvite::CONSTRUCTOR_ID,
            Self::ImportInvite => messages::ImportChatInvite::CONSTRUCTOR_ID,
            Self::Other => 0,
        }
    }

    /// Requests at once, and per minute from then on. Telegram publishes no figures: what clients
    /// are known to get away with (about thirty pages of history in a row, then one a second; some
    /// two hundred names a day; a few chats joined in a row) is the measure where there is any,
    /// and elsewhere what a start with a thousand channels needs.
    fn budget(self) -> Option<(u32, u32)> {
        match self {
            Self::ChannelDifference => Some((1_000, 1_200)),
            Self::Difference => Some((200, 300)),
            Self::PeerDialogs => Some((60, 120)),
            Self::Dialogs => Some((100, 60)),
            Self::History => Some((100, 120)),
            Self::ChannelMessages | Self::Messages => Some((300, 600)),
            Self::Folders => Some((10, 6)),
            Self::ResolveUsername => Some((10, 1)),
            Self::JoinChannel | Self::CheckInvite | Self::ImportInvite => Some((10, 2)),
            Self::Other => None,
        }
    }
}

/// The budgets of one account. Clones share them.
#[derive(Clone)]
pub struct Floods {
    inner: Arc<Inner>,
}

struct Inner {
    account: Arc<str>,
    figures: Requests,
    /// By constructor.
    budgets: Mutex<HashMap<u32, Budget>>,
}

impl Floods {
    /// Of an account that has asked for nothing yet.
    #[must_use]
    pub fn new(account: Arc<str>, figures: Requests) -> Self {
        let inner = Inner {
            account,
            figures,
            budgets: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// For a command, whose figures nobody reads.
    #[must_use]
    pub fn unobserved() -> Self {
        let metrics = tgmesh_lifecycle::Process::detached("listener", "command").metrics;
        Self::new("".into(), Requests::new(&metrics))
    }

    /// Waits until a request may be made.
    ///
    /// # Errors
    /// How long the method is closed.
    pub async fn admit(&self, constructor: u32) -> Result<(), Duration> {
        self.wait_for(constructor, Budget::take).await
    }

    /// The same for what has time: the second half of a budget is left to what is urgent.
    ///
    /// # Errors
    /// How long the method is closed.
    pub async fn admit_spare(&self, constructor: u32) -> Result<(), Duration> {
        self.wait_for(constructor, Budget::take_spare).await
    }

    async fn wait_for(&self, constructor: u32, take: fn(&mut Budget, Instant) -> Answer) -> Result<(), Duration> {
        let method = Method::of(constructor);
        loop {
            let now = Instant::now();
            let answer = take(
                self.budgets()
                    .entry(constructor)
                    .or_insert_with(|| Budget::of(method, now)),
                now,
            );
            match answer {
                Answer::Go => return Ok(()),
                // Its place in the line is kept.
                Answer::GoAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    // It may have been closed meanwhile.
                    return match self.closed_by(constructor) {
                        Some(wait) => Err(self.hold_back(method, wait)),
                        None => Ok(()),
                    };
                }
                Answer::AskAfter(wait) => tokio::time::sleep(wait).await,
                Answer::Closed(wait) => return Err(self.hold_back(method, wait)),
            }
        }
    }

    fn hold_back(&self, method: Method, wait: Duration) -> Duration {
        self.inner.figures.held_back(method).inc();
        wait
    }

    /// How long a method is closed, if it is.
    #[must_use]
    pub fn closed(&self, method: Method) -> Option<Duration> {
        self.closed_by(method.constructor())
    }

    fn closed_by(&self, constructor: u32) -> Option<Duration> {
        self.budgets().get(&constructor)?.closed(Instant::now())
    }

    /// Notes that a request was made and answered; `flood` is the wait that Telegram asks for.
    pub fn answered(&self, constructor: u32, flood: Option<Duration>, refused: bool) {
        let (now, method) = (Instant::now(), Method::of(constructor));
        let figures = &self.inner.figures;
        figures.made(method).inc();
        if refused {
            figures.refused(method).inc();
        }
        let mut budgets = self.budgets();
        let budget = budgets.entry(constructor).or_insert_with(|| Budget::of(method, now));
        let Some(wait) = flood else {
            // An answer to what was asked before the method was closed says nothing.
            budget.went_well(now);
            return;
        };
        let is_news = budget.closed(now).is_none();
        let closed = budget.close(wait, now);
        drop(budgets);
        figures.flood_waits(method).inc();
        if !is_news {
            return;
        }
        figures.flood_seconds(method).add(closed.as_secs());
        let (account, name) = (&self.inner.account, grammers_tl_types::name_for_id(constructor));
        let (wait_s, closed_s) = (wait.as_secs(), closed.as_secs());
        if closed > LONG {
            tracing::warn!(%account, method = name, wait_s, closed_s,
                "Telegram asks to wait long: the account asks for nothing of the kind until then");
        } else {
            tracing::info!(%account, method = name, wait_s, closed_s, "Telegram asks to wait");
        }
    }

    /// The methods that are closed for long, with what is left of it: for stats.
    #[must_use]
    pub fn closed_for_long(&self) -> Vec<(Method, Duration)> {
        let now = Instant::now();
        let budgets = self.budgets();
        let closed = budgets
            .iter()
            .filter_map(|(&id, budget)| Some((Method::of(id), budget.closed(now)?)));
        closed.filter(|(_, wait)| *wait > LONG).collect()
    }

    fn budgets(&self) -> MutexGuard<'_, HashMap<u32, Budget>> {
        self.inner.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tgmesh_lifecycle::Process;

    use super::*;

    #[test]
    fn methods_are_told_by_their_constructors() {
        for method in Method::ALL {
            assert_eq!(Method::of(method.constructor()), method);
        }
        assert_eq!(Method::ChannelDifference.name(), "updates.getChannelDifference");
        assert_eq!(Method::of(functions::updates::GetState::CONSTRUCTOR_ID), Method::Other);
    }

    #[tokio::test]
    async fn a_wait_closes_one_method_and_nothing_else() {
        let process = Process::detached("listener", "test");
        let floods = Floods::new("a".into(), Requests::new(&process.metrics));
        let history = Method::History.constructor();
        assert_eq!(floods.admit(history).await, Ok(()));
        floods.answered(history, Some(Duration::from_secs(65)), true);
        let closed = floods.admit(history).await.unwrap_err();
        assert!((64..=80).contains(&closed.as_secs()), "{closed:?}");
        assert_eq!(floods.admit(Method::Difference.constructor()).await, Ok(()));
        assert_eq!(floods.closed_for_long().len(), 1);
        // Methods without a budget are closed one by one as well.
        let (state, status) = (
            functions::updates::GetState::CONSTRUCTOR_ID,
            functions::account::UpdateStatus::CONSTRUCTOR_ID,
        );
        floods.answered(state, Some(Duration::from_secs(5)), true);
        assert!(floods.admit(state).await.is_err());
        assert_eq!(floods.admit(status).await, Ok(()));
        let made = Requests::new(&process.metrics);
        assert_eq!(
            (
                made.held_back(Method::History).get(),
                made.held_back(Method::Other).get()
            ),
            (1, 1)
        );
    }
}
