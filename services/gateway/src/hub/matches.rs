//! The fan-out of matches: live only, to those who asked for them.
//!
//! A second reader beside that of DETECTIONS, with sequences of its own. There is no ring and no
//! resume: a subscription gets what comes from its `subscribed` on, and a client that is too slow
//! for it misses some, which is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tgmesh_lifecycle::health::Part;
use tgmesh_proto::subject;
use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::{Delivery, Mesh, topology};
use tokio_util::sync::CancellationToken;

use super::index::Index;
use super::{Seen, Sub};
use crate::event::MatchEvent;
use crate::figures::Figures;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The subscriptions that want matches.
#[derive(Debug)]
pub struct Matches {
    state: Mutex<State>,
    figures: Figures,
}

#[derive(Debug, Default)]
struct State {
    /// Last sequence that was handed out.
    head: u64,
    seen: Seen,
    index: Index,
}

impl Matches {
    /// Nobody wants any yet.
    #[must_use]
    pub fn new(figures: Figures) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            figures,
        })
    }

    /// Gives a subscription what comes from now on, if its filter asks for matches; one that is
    /// here already is filed anew under the filter it has now.
    pub fn join(&self, sub: &Arc<Sub>) {
        let mut state = self.lock();
        state.index.remove(sub.key);
        if sub.matcher().wants_matches() {
            state.index.insert(sub);
        }
    }

    /// Ends a subscription.
    pub fn leave(&self, sub: &Sub) {
        self.lock().index.remove(sub.key);
    }

    /// Hands a match to every subscription that wants it.
    fn accept(&self, event: &Arc<MatchEvent>) {
        let mut state = self.lock();
        if event.seq <= state.head {
            self.figures.out_of_order.inc();
            return;
        }
        state.head = event.seq;
        if !state.seen.insert(event.data.id, event.seq, event.published_us) {
            self.figures.repeats.inc();
            return;
        }
        self.figures.matches.inc();
        state.index.of_chat(event.data.chat.id, |entry| {
            if entry.matcher.wants_match(&event.data) && !entry.sub.mailbox.offer_match(&entry.sub, event) {
                self.figures.missed_matches.inc();
            }
        });
    }

    fn take(&self, delivery: &Delivery) {
        match MatchEvent::read(delivery.seq, delivery.published_us, &delivery.payload) {
            Ok(event) => self.accept(&Arc::new(event)),
            Err(error) => {
                self.figures.undecodable.inc();
                tracing::warn!(seq = delivery.seq, subject = delivery.subject, %error, "left out a message that is no match");
                let mut state = self.lock();
                state.head = state.head.max(delivery.seq);
            }
        }
    }

    /// Sequences begin anew.
    fn reset(&self) {
        self.lock().head = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows MATCHES until the token is cancelled, through outages and new epochs.
pub async fn follow_matches(matches: Arc<Matches>, mesh: Mesh, part: Part, until: CancellationToken) {
    let following = async {
        topology::wait(&mesh).await;
        let mut wait = FIRST_WAIT;
        let mut place: Option<(String, u64)> = None;
        loop {
            let start = place.as_ref().map_or(Start::New, |(_, seq)| Start::After(*seq));
            let error = match Tail::open(&mesh, subject::MATCHES, start, None).await {
                Ok(mut tail) => {
                    // Where it was left, unless the stream was made anew meanwhile: then from now on.
                    let is_other = place.as_ref().is_some_and(|(epoch, _)| epoch != tail.epoch());
                    if is_other {
                        matches.reset();
                        place = None;
                        continue;
                    }
                    part.up();
                    wait = FIRST_WAIT;
                    let error = read(&matches, &mut tail).await;
                    place = Some((tail.epoch().to_owned(), tail.position()));
                    error
                }
                Err(error) => error,
            };
            tracing::warn!(%error, retry_ms = wait.as_millis() as u64, "couldn't follow MATCHES");
            part.down(error.to_string());
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    };
    tokio::select! {
        () = following => {}
        () = until.cancelled() => {}
    }
}

/// Reads until it cannot go on. A new epoch it reads from its beginning.
async fn read(matches: &Matches, tail: &mut Tail) -> tgmesh_stream::StreamError {
    loop {
        match tail.next().await {
            Ok(delivery) => matches.take(&delivery),
            Err(TailError::Epoch { epoch }) => {
                tracing::warn!(epoch, "MATCHES has a new epoch, its sequences begin anew");
                matches.reset();
            }
            Err(TailError::Stream(error)) => return error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tgmesh_lifecycle::Process;
    use tgmesh_proto::frame::Filter;

    use super::*;
    use crate::event::tests::{match_of, matched};
    use crate::filter::Matcher;
    use crate::mailbox::{Item, MAX_SHARE};

    fn matches() -> Arc<Matches> {
        Matches::new(Figures::new(&Process::detached("gateway", "test").metrics))
    }

    fn sub(filter: &Filter) -> Arc<Sub> {
        let matcher = Arc::new(Matcher::compile(filter).expect("a good filter"));
        Sub::new("s".into(), "e1".into(), Arc::default(), matcher)
    }

    fn wanting() -> Filter {
        Filter {
            matches: true,
            ..Filter::default()
        }
    }

    fn taken(sub: &Sub) -> Vec<u64> {
        let mut items = VecDeque::new();
        sub.mailbox.take(usize::MAX, usize::MAX, &mut items);
        sub.mailbox.flushed();
        let seq = |item: Item| match item {
            Item::Match(_, event) => Some(event.seq),
            _ => None,
        };
        items.into_iter().filter_map(seq).collect()
    }

    fn accept(matches: &Matches, seq: u64) {
        matches.accept(&Arc::new(match_of(seq, &matched(seq))));
    }

    #[test]
    fn those_who_want_them_get_each_once_in_order() {
        let matches = matches();
        let elsewhere = Filter {
            chats: Some(vec![1]),
            ..wanting()
        };
        let here = Filter {
            chats: Some(vec![1, -100]),
            ..wanting()
        };
        let subs = [wanting(), here, elsewhere, Filter::default()].map(|filter| sub(&filter));
        accept(&matches, 1);
        for sub in &subs {
            matches.join(sub);
        }
        accept(&matches, 2);
        matches.join(&subs[0]);
        accept(&matches, 4);
        accept(&matches, 3);
        matches.accept(&Arc::new(match_of(5, &matched(4))));
        assert_eq!(
            subs.each_ref().map(|sub| taken(sub)),
            [vec![2, 4], vec![2, 4], vec![], vec![]]
        );
        matches.leave(&subs[0]);
        matches.reset();
        matches.accept(&Arc::new(match_of(1, &matched(9))));
        assert_eq!(taken(&subs[0]), [0; 0]);
        assert_eq!(taken(&subs[1]), [1], "a stream that was made anew counts anew");
    }

    #[test]
    fn a_client_that_is_too_slow_misses_some_and_memory_is_bounded() {
        let matches = matches();
        let slow = sub(&wanting());
        matches.join(&slow);
        let mut large = matched(0);
        large.message.text = "x".repeat(4096);
        let count = (MAX_SHARE / 4096) as u64 + 50;
        for seq in 1..=count {
            large.id = matched(seq).id;
            matches.accept(&Arc::new(match_of(seq, &large)));
        }
        let got = taken(&slow).len() as u64;
        assert!(got < count);
        assert_eq!(matches.figures.missed_matches.get(), count - got);
        accept(&matches, count + 1);
        assert_eq!(taken(&slow), [count + 1]);
    }
}
