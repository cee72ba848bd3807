//! Messages made to break the detector.
//!
//! A seeded mutator changes messages by structure (addresses, disguises, links, marks, buttons) and
//! keeps those that make the detector say something new, so that the changes build on each other.
//! It needs no instrumented build: what counts as new is what comes out. The short form makes a
//! fixed number of messages; `TGMESH_SOAK=1` runs ten minutes with a new seed. `TGMESH_FUZZ_SEED`
//! and `TGMESH_FUZZ_SECONDS` set either.

mod mutate;
mod verify;

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant, SystemTime};

use tgmesh_detect::{Detector, Findings, Input};

use self::mutate::Message;
use crate::make::Dice;

const SHORT_FORM: u64 = 30_000;
const LONG_FORM: Duration = Duration::from_mins(10);
/// Messages that are built on; the oldest go first.
const KEPT: usize = 2_000;

/// Memory for one message: so many bytes for each of its own, and this much at the start.
const BYTES_PER_BYTE: u64 = 4_000;
const BYTES_AT_START: u64 = 1 << 20;

#[test]
fn no_message_breaks_the_detector() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect("a number"))
    };
    let long = std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1");
    let time = number("TGMESH_FUZZ_SECONDS")
        .map(Duration::from_secs)
        .or(long.then_some(LONG_FORM));
    let seed = number("TGMESH_FUZZ_SEED").unwrap_or_else(|| if long { now() } else { 3 });
    println!(
        "fuzz: seed {seed}, {}",
        time.map_or_else(|| format!("{SHORT_FORM} messages"), |time| format!("{time:?}"))
    );
    let mut fuzz = Fuzz::new(seed);
    let start = Instant::now();
    let mut count = 0;
    while time.map_or(count < SHORT_FORM, |time| start.elapsed() < time) {
        fuzz.step(count);
        count += 1;
    }
    println!(
        "fuzz: {count} messages, {} with finds, {} kinds of answers",
        fuzz.with_finds,
        fuzz.answers.len()
    );
    // One that finds nothing tests nothing.
    assert!(fuzz.with_finds * 5 > count, "{} of {count}", fuzz.with_finds);
    assert!(fuzz.answers.len() > 100, "{}", fuzz.answers.len());
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_micros() as u64)
}

struct Fuzz {
    seed: u64,
    dice: Dice,
    detector: Detector,
    kept: Vec<Message>,
    /// What came out so far, without the addresses themselves.
    answers: HashSet<String>,
    with_finds: u64,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let kept = mutate::seeds(&mut dice);
        Self {
            seed,
            dice,
            detector: Detector::new(),
            kept,
            answers: HashSet::new(),
            with_finds: 0,
        }
    }

    fn step(&mut self, count: u64) {
        let from = self.dice.below(self.kept.len());
        let other = self.dice.below(self.kept.len());
        let message = mutate::change(&mut self.dice, &self.kept[from], &self.kept[other]);
        match check(&self.detector, &message) {
            Ok(out) => {
                self.with_finds += u64::from(!out.finds.is_empty());
                if self.answers.insert(kind(&out)) {
                    if self.kept.len() >= KEPT {
                        self.kept.swap_remove(from);
                    }
                    self.kept.push(message);
                }
            }
            Err(fault) => {
                let (smallest, fault) = shrink(&self.detector, message, fault);
                panic!("seed {}, message {count}: {fault}\n{smallest:?}", self.seed);
            }
        }
    }
}

/// What the answer says, without the addresses.
fn kind(out: &Findings) -> String {
    let mut kinds: Vec<String> = out
        .finds
        .iter()
        .map(|find| {
            format!(
                "{} {} {} {:?} {}",
                find.family,
                find.method,
                find.role,
                find.evidence,
                find.span.is_some()
            )
        })
        .collect();
    kinds.extend(
        out.unresolved
            .iter()
            .map(|link| format!("{} {:?}", link.site, link.chain)),
    );
    kinds.sort_unstable();
    kinds.dedup();
    kinds.truncate(3);
    kinds.join("\n")
}

/// The answer to one message, or what is wrong with it.
fn check(detector: &Detector, message: &Message) -> Result<Findings, String> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        message.lend(|input| answer(detector, message, input))
    }))
    .unwrap_or_else(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied());
        Err(format!("panics: {}", why.unwrap_or("?")))
    })
}

fn answer(detector: &Detector, message: &Message, input: &Input<'_>) -> Result<Findings, String> {
    let mut out = Findings::default();
    let memory = allocation_counter::measure(|| detector.find(input, &mut out));
    let most = message.len() as u64 * BYTES_PER_BYTE + BYTES_AT_START;
    if memory.bytes_total > most {
        return Err(format!(
            "{} bytes of memory for {} of text",
            memory.bytes_total,
            message.len()
        ));
    }
    if let Some(fault) = verify::fault(input.text, &out) {
        return Err(fault);
    }
    let mut again = Findings::default();
    detector.find(input, &mut again);
    if again != out {
        return Err(format!("another answer the second time: {again:?}"));
    }
    for find in out.finds.iter().take(8) {
        // Canonical is canonical: what was found is found again, and is the same. A chat of that
        // chain says what 64 hex digits are.
        let text = format!("CA: {}", find.address);
        let mut alone = Findings::default();
        detector.find(
            &Input {
                text: &text,
                prior: Some(find.family.as_str()),
                ..Input::default()
            },
            &mut alone,
        );
        if !alone
            .finds
            .iter()
            .any(|other| (other.family, &other.address) == (find.family, &find.address))
        {
            return Err(format!("not found in {text:?}: {find:?}"));
        }
    }
    Ok(out)
}

/// The smallest message with a fault of the same kind.
fn shrink(detector: &Detector, mut message: Message, mut fault: String) -> (Message, String) {
    // Every try that still panics would print where.
    let loud = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let same = |a: &str, b: &str| a.split([':', ' ']).next() == b.split([':', ' ']).next();
    loop {
        let smaller = candidates(&message).find_map(|smaller| {
            Some((
                check(detector, &smaller).err().filter(|new| same(new, &fault))?,
                smaller,
            ))
        });
        match smaller {
            Some((new, smaller)) => (fault, message) = (new, smaller),
            None => break,
        }
    }
    panic::set_hook(loud);
    (message, fault)
}

/// Messages with a part less: a whole part first, then ever shorter pieces of the text.
fn candidates(message: &Message) -> impl Iterator<Item = Message> {
    let without: [fn(&mut Message); 6] = [
        |m| m.entities = Vec::new(),
        |m| m.buttons = Vec::new(),
        |m| m.links = Vec::new(),
        |m| m.quote = String::new(),
        |m| m.names = Vec::new(),
        |m| m.prior = None,
    ];
    let has = [
        !message.entities.is_empty(),
        !message.buttons.is_empty(),
        !message.links.is_empty(),
        !message.quote.is_empty(),
        !message.names.is_empty(),
        message.prior.is_some(),
    ];
    let parts = without.into_iter().zip(has).filter(|(_, has)| *has).map(|(cut, _)| {
        let mut less = message.clone();
        cut(&mut less);
        less
    });
    let lengths =
        std::iter::successors(Some(message.text.len() / 2), |length| Some(length / 2)).take_while(|&length| length > 0);
    let cuts = lengths.flat_map(|length| {
        (0..message.text.len())
            .step_by(length)
            .map(move |start| (start, length))
    });
    let texts = cuts.filter_map(|(start, length)| {
        let (from, to) = (
            message.text.floor_char_boundary(start),
            message.text.ceil_char_boundary(start + length),
        );
        let text = format!("{}{}", &message.text[..from], message.text.get(to..)?);
        (text.len() < message.text.len()).then(|| Message {
            text,
            ..message.clone()
        })
    });
    parts.collect::<Vec<_>>().into_iter().chain(texts)
}
