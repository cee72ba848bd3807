use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use tgmesh_stream::consume::{self, BatchLimits, ConsumeError, Consumer, Counts, Handler, Outcome};
use tgmesh_stream::publish::{Limits, Publisher};
use tgmesh_stream::{Delivery, Mesh, deadletter};
use tgmesh_testkit::eventually;
use tgmesh_testkit::nats::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{LONG, fill, number, outgoing, start, witness};

type Answer = Box<dyn Fn(u64, u32) -> Outcome + Send + Sync>;

/// Answers by number and by how often it saw the number; remembers batches.
struct Recorder {
    answer: Answer,
    takes: Duration,
    tries: Mutex<BTreeMap<u64, u32>>,
    batches: Mutex<Vec<Vec<u64>>>,
    done: Mutex<BTreeSet<u64>>,
}

impl Recorder {
    fn new(answer: impl Fn(u64, u32) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Self::slow(Duration::ZERO, answer)
    }

    fn slow(takes: Duration, answer: impl Fn(u64, u32) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            takes,
            tries: Mutex::default(),
            batches: Mutex::default(),
            done: Mutex::default(),
        })
    }

    fn done(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    fn tries(&self, n: u64) -> u32 {
        self.tries.lock().unwrap().get(&n).copied().unwrap_or(0)
    }
}

impl Handler for Recorder {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        tokio::time::sleep(self.takes).await;
        let numbers: Vec<u64> = batch.iter().map(|delivery| number(&delivery.payload)).collect();
        let mut outcomes = Vec::new();
        for &n in &numbers {
            let mut tries = self.tries.lock().unwrap();
            let count = tries.entry(n).or_default();
            *count += 1;
            let outcome = (self.answer)(n, *count);
            if outcome == Outcome::Done {
                self.done.lock().unwrap().insert(n);
            }
            outcomes.push(outcome);
        }
        self.batches.lock().unwrap().push(numbers);
        outcomes
    }
}

struct Running {
    soft: CancellationToken,
    counts: Arc<Counts>,
    task: JoinHandle<Result<(), ConsumeError>>,
}

impl Running {
    async fn stop(self) -> Arc<Counts> {
        self.soft.cancel();
        tokio::time::timeout(Duration::from_secs(8), self.task)
            .await
            .expect("stops in time")
            .unwrap()
            .unwrap();
        self.counts
    }
}

fn run(mesh: &Mesh, handler: &Arc<Recorder>) -> Running {
    run_with(mesh, handler, consumer())
}

fn run_with(mesh: &Mesh, handler: &Arc<Recorder>, consumer: Consumer) -> Running {
    let (soft, counts) = (CancellationToken::new(), Arc::new(Counts::default()));
    let task = tokio::spawn({
        let (mesh, handler, counts, soft) = (mesh.clone(), Arc::clone(handler), Arc::clone(&counts), soft.clone());
        async move { consume::run(&mesh, consumer, handler, counts, soft).await }
    });
    Running { soft, counts, task }
}

fn consumer() -> Consumer {
    Consumer {
        stream: "DETECTIONS".to_owned(),
        durable: "archiver".to_owned(),
        batch: BatchLimits {
            rows: 100,
            bytes: 1 << 20,
            age: Duration::from_millis(5),
        },
        max_ack_pending: 1000,
        in_flight: 2,
    }
}

async fn server_side(server: &Server) -> PullConsumer {
    witness(server)
        .await
        .get_consumer_from_stream("archiver", "DETECTIONS")
        .await
        .unwrap()
}

async fn unacked(server: &Server) -> (usize, u64) {
    let info = server_side(server).await.get_info().await.unwrap();
    (info.num_ack_pending, info.num_pending)
}

/// There is always one more message on its way; what is at the moment of the stop comes again.
#[tokio::test]
async fn a_stop_does_not_wait_until_the_stream_is_quiet() {
    let (_server, mesh) = start().await;
    let sent = Arc::new(AtomicU64::new(0));
    let publisher = Publisher::new(&mesh, Limits::default());
    let busy = tokio::spawn({
        let (publisher, sent) = (publisher.clone(), Arc::clone(&sent));
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                publisher.publish(outgoing(sent.load(Ordering::Relaxed))).await;
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let handler = Recorder::new(|_, _| Outcome::Done);
    // Asked for at once: half a minute's messages.
    let consumer = || Consumer {
        batch: BatchLimits {
            rows: 1_500,
            ..consumer().batch
        },
        ..consumer()
    };
    let running = run_with(&mesh, &handler, consumer());
    eventually(LONG, "it runs", async || handler.done() > 20).await;
    running.stop().await;
    busy.abort();
    assert_eq!(publisher.drain(LONG).await, 0);
    let running = run_with(&mesh, &handler, consumer());
    eventually(LONG, "nothing is left out", async || {
        handler.done() as u64 >= sent.load(Ordering::Relaxed)
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn every_message_is_handled_once_and_acked() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..1000).await;
    let handler = Recorder::new(|_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    eventually(LONG, "all handled", async || handler.done() == 1000).await;
    fill(&mesh, 1000..1500).await;
    eventually(LONG, "new ones too", async || handler.done() == 1500).await;
    let counts = running.stop().await;
    assert_eq!(
        (counts.delivered(), counts.acked(), counts.redelivered(), counts.held()),
        (1500, 1500, 0, 0)
    );
    assert_eq!(unacked(&server).await, (0, 0));
    let batches = handler.batches.lock().unwrap().clone();
    assert!(batches.iter().all(|batch| batch.len() <= 100));
    assert!(
        batches.iter().any(|batch| batch.len() == 100),
        "a backlog fills batches"
    );

    let config = server_side(&server).await.cached_info().config.clone();
    assert_eq!(
        (config.ack_policy, config.max_deliver, config.max_ack_pending),
        (AckPolicy::Explicit, -1, 1000)
    );
}

/// With an age of a minute: whoever waited for it would not end in time.
#[tokio::test]
async fn without_load_a_message_waits_for_no_other_and_under_load_batches_grow() {
    let (_server, mesh) = start().await;
    let handler = Recorder::slow(Duration::from_millis(300), |_, _| Outcome::Done);
    let patient = BatchLimits {
        age: Duration::from_mins(1),
        ..consumer().batch
    };
    let running = run_with(
        &mesh,
        &handler,
        Consumer {
            batch: patient,
            ..consumer()
        },
    );
    fill(&mesh, 0..1).await;
    eventually(LONG, "the first is handled alone", async || handler.done() == 1).await;
    // While the second batch is handled these come, and go together when it ends.
    fill(&mesh, 1..2).await;
    eventually(LONG, "the second batch is in flight", async || {
        running.counts.held() == 1
    })
    .await;
    fill(&mesh, 2..50).await;
    eventually(LONG, "all handled", async || handler.done() == 50).await;
    let batches = handler.batches.lock().unwrap().clone();
    assert_eq!(batches[0], [0]);
    assert!(batches.iter().any(|batch| batch.len() > 10), "{batches:?}");
    running.stop().await;
}

#[tokio::test]
async fn huge_messages_are_held_by_their_bytes_not_their_number() {
    let (_server, mesh) = start().await;
    // A number with a lot of zeros before it.
    let publisher = Publisher::new(&mesh, Limits::default());
    for n in 0..60 {
        let huge = tgmesh_stream::publish::Outgoing {
            payload: format!("{}{n}", "0".repeat(900_000)).into(),
            ..outgoing(n)
        };
        drop(publisher.publish(huge).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
    let handler = Recorder::slow(Duration::from_millis(20), |_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    let most = AtomicU64::new(0);
    eventually(LONG, "all handled", async || {
        most.fetch_max(running.counts.held(), Ordering::Relaxed);
        handler.done() == 60
    })
    .await;
    let most = most.into_inner();
    assert!(most < 20, "{most} MB were held at once");
    running.stop().await;
}

#[tokio::test]
async fn a_stream_full_of_poison_does_not_hold_up_what_is_good() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..2000).await;
    let handler = Recorder::new(|n, _| {
        if n % 100 == 7 {
            Outcome::Done
        } else {
            Outcome::Reject {
                reason: format!("{n} is bad"),
            }
        }
    });
    let running = run(&mesh, &handler);
    eventually(LONG, "each has its end", async || {
        running.counts.dead_lettered() == 1980 && handler.done() == 20
    })
    .await;
    running.stop().await;
    assert_eq!(unacked(&server).await, (0, 0));
    let letters = witness(&server).await.get_stream("DEADLETTERS").await.unwrap();
    assert_eq!(letters.cached_info().state.messages, 1980);
}

#[tokio::test]
async fn a_fault_that_passes_is_held_and_costs_no_delivery() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..50).await;
    let handler = Recorder::new(|n, tried| {
        if n % 10 == 3 && tried < 4 {
            Outcome::RetryAfter(Duration::from_millis(20))
        } else {
            Outcome::Done
        }
    });
    let running = run(&mesh, &handler);
    eventually(LONG, "all handled", async || handler.done() == 50).await;
    assert_eq!(
        (handler.tries(3), handler.tries(4)),
        (4, 1),
        "only those that asked are tried again"
    );
    let counts = running.stop().await;
    assert_eq!((counts.delivered(), counts.redelivered(), counts.acked()), (50, 0, 50));
    assert_eq!(unacked(&server).await, (0, 0));
}

#[tokio::test]
async fn in_progress_acks_outlast_the_ack_wait() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..250).await;
    // Longer than the ack wait of 10 s; and a third batch waits behind the two in flight.
    let handler = Recorder::slow(Duration::from_secs(12), |_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    eventually(LONG, "all handled", async || handler.done() == 250).await;
    let counts = running.stop().await;
    assert_eq!((counts.delivered(), counts.redelivered()), (250, 0));
    assert_eq!(unacked(&server).await, (0, 0));
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letters() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..30).await;
    let handler = Recorder::new(|n, _| {
        if n == 17 {
            Outcome::Reject {
                reason: "it is\nseventeen".to_owned(),
            }
        } else {
            Outcome::Done
        }
    });
    let running = run(&mesh, &handler);
    eventually(LONG, "the rest is handled", async || handler.done() == 29).await;
    eventually(LONG, "it is dead-lettered", async || {
        running.counts.dead_lettered() == 1
    })
    .await;
    running.stop().await;
    assert_eq!(unacked(&server).await, (0, 0));
    assert_eq!(handler.tries(17), 1);

    let letters = witness(&server).await.get_stream("DEADLETTERS").await.unwrap();
    assert_eq!(letters.cached_info().state.messages, 1);
    let letter = letters.get_raw_message(1).await.unwrap();
    let header = |name: &str| letter.headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(letter.subject.as_str(), "tgmesh.v1.deadletters.archiver");
    assert_eq!(number(&letter.payload), 17);
    assert_eq!(header(deadletter::REASON).as_deref(), Some("it is seventeen"));
    assert_eq!(header(deadletter::ATTEMPTS).as_deref(), Some("1"));
    assert_eq!(header(deadletter::STREAM).as_deref(), Some("DETECTIONS"));
    assert_eq!(header(deadletter::SEQ).as_deref(), Some("18"));
    assert_eq!(
        header(deadletter::SUBJECT).as_deref(),
        Some("tgmesh.v1.detections.-103.evm")
    );
    assert_eq!(header(deadletter::ORIGINAL_ID), Some(crate::id(17).to_string()));
    assert_eq!(header("Content-Type").as_deref(), Some("application/msgpack"));
    assert!(header("traceparent").is_some());
}

#[tokio::test]
async fn without_a_place_for_dead_letters_nothing_is_given_up() {
    let (server, mesh) = start().await;
    witness(&server).await.delete_stream("DEADLETTERS").await.unwrap();
    fill(&mesh, 0..1).await;
    let handler = Recorder::new(|_, _| Outcome::Reject {
        reason: "no".to_owned(),
    });
    let running = run(&mesh, &handler);
    eventually(LONG, "it is tried", async || handler.tries(0) == 1).await;
    let counts = running.stop().await;
    assert_eq!((counts.dead_lettered(), counts.returned()), (0, 1));
    let info = server_side(&server).await.get_info().await.unwrap();
    assert_eq!(
        (
            info.num_ack_pending + info.num_redelivered,
            info.ack_floor.stream_sequence
        ),
        (1, 0),
        "{info:?}"
    );
}

/// Delivers every message so many times, without an outcome, before the consumer under test comes.
async fn wear_out(server: &Server, times: usize, messages: usize) {
    let stream = witness(server).await.get_stream("DETECTIONS").await.unwrap();
    let config = pull::Config {
        durable_name: Some("archiver".to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_deliver: -1,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    for _ in 0..times {
        let mut batch = consumer.fetch().max_messages(messages).messages().await.unwrap();
        let mut naks = 0;
        while let Some(message) = batch.next().await {
            message.unwrap().double_ack_with(AckKind::Nak(None)).await.unwrap();
            naks += 1;
        }
        assert_eq!(naks, messages);
    }
}

#[tokio::test]
async fn from_its_10th_delivery_a_message_is_alone() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..3).await;
    wear_out(&server, 9, 3).await;
    fill(&mesh, 3..20).await;
    let handler = Recorder::new(|_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    eventually(LONG, "all handled", async || handler.done() == 20).await;
    running.stop().await;
    let batches = handler.batches.lock().unwrap().clone();
    for batch in batches.iter().filter(|batch| batch.iter().any(|n| *n < 3)) {
        assert_eq!(batch.len(), 1, "{batches:?}");
    }
    assert!(
        batches.iter().any(|batch| batch.len() > 1),
        "the others go together: {batches:?}"
    );
}

#[tokio::test]
async fn at_its_20th_delivery_a_message_is_dead_lettered() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..2).await;
    wear_out(&server, 19, 2).await;
    let handler = Recorder::new(|_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    eventually(LONG, "both are dead-lettered", async || {
        running.counts.dead_lettered() == 2
    })
    .await;
    running.stop().await;
    assert_eq!(handler.done(), 0);
    let letters = witness(&server).await.get_stream("DEADLETTERS").await.unwrap();
    let letter = letters.get_raw_message(1).await.unwrap();
    assert_eq!(letter.headers.get(deadletter::ATTEMPTS).unwrap().as_str(), "20");
}

#[tokio::test]
async fn goes_on_after_the_server_and_after_the_consumer_were_gone() {
    let (mut server, mesh) = start().await;
    let handler = Recorder::new(|_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    fill(&mesh, 0..500).await;
    eventually(LONG, "the first are handled", async || handler.done() == 500).await;
    server.kill().await;
    server.start_again().await.unwrap();
    fill(&mesh, 500..1000).await;
    eventually(LONG, "after the restart", async || handler.done() == 1000).await;
    let seen = server_side(&server)
        .await
        .get_info()
        .await
        .unwrap()
        .delivered
        .stream_sequence;
    assert_eq!(seen, 1000, "the consumer is the same one");

    witness(&server)
        .await
        .delete_consumer_from_stream("archiver", "DETECTIONS")
        .await
        .unwrap();
    fill(&mesh, 1000..1100).await;
    eventually(LONG, "with a new consumer", async || handler.done() == 1100).await;
    running.stop().await;
    assert_eq!(unacked(&server).await, (0, 0));
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..2000).await;
    let handler = Recorder::slow(Duration::from_millis(200), |_, _| Outcome::Done);
    let running = run(&mesh, &handler);
    eventually(LONG, "it is at work", async || handler.done() > 0).await;
    let began = Instant::now();
    let counts = running.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(counts.acked(), counts.delivered(), "what was delivered is acked");
    assert_eq!(
        unacked(&server).await,
        (0, 2000 - counts.acked()),
        "nothing is left half done"
    );
}

#[tokio::test]
async fn a_stop_hands_back_what_cannot_be_finished() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..20).await;
    let sick = Recorder::new(|_, _| Outcome::RetryAfter(Duration::from_mins(1)));
    let running = run(&mesh, &sick);
    eventually(LONG, "it was tried", async || sick.tries(19) == 1).await;
    let counts = running.stop().await;
    assert_eq!((counts.returned(), counts.acked()), (20, 0));
    let well = Recorder::new(|_, _| Outcome::Done);
    let running = run(&mesh, &well);
    let began = Instant::now();
    eventually(LONG, "the next process gets them", async || well.done() == 20).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "at once, not after the ack wait"
    );
    running.stop().await;
    assert_eq!(unacked(&server).await, (0, 0));
}

#[tokio::test]
async fn a_consumer_of_another_kind_is_refused() {
    let (server, mesh) = start().await;
    let stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    let config = pull::Config {
        durable_name: Some("archiver".to_owned()),
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let running = run(&mesh, &Recorder::new(|_, _| Outcome::Done));
    let error = tokio::time::timeout(LONG, running.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, ConsumeError::Unusable { .. }), "{error}");
}
