//! The project's own labelled messages (`corpus/*.jsonl`): how much is found, how much invented,
//! and what a confidence is worth.
//!
//! It counts as the labels' format says: a find is right when family and address are expected, each
//! once a message; what a case allows counts neither way; `ambiguous` cases only tell about the
//! confidence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tgmesh_detect::{Button, Detector, Entity, EntityKind, Find, Findings, Input, Name};

const OPEN: &str = include_str!("../../corpus/open.jsonl");
const HELD: &str = include_str!("../../corpus/held.jsonl");

/// Hits, inventions and misses.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    right: usize,
    invented: usize,
    missed: usize,
    cases: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.invented += other.invented;
        self.missed += other.missed;
        self.cases += other.cases;
    }

    fn precision(&self) -> f64 {
        share(self.right, self.right + self.invented)
    }

    fn recall(&self) -> f64 {
        share(self.right, self.right + self.missed)
    }

    fn f1(&self) -> f64 {
        share(2 * self.right, 2 * self.right + self.invented + self.missed)
    }

    fn row(&self) -> String {
        format!(
            "{:.4} {:.4} {:.4}  {:5} {:4} {:4}  {:5}",
            self.precision(),
            self.recall(),
            self.f1(),
            self.right,
            self.invented,
            self.missed,
            self.cases
        )
    }
}

/// Nothing of nothing is all of it.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Finds of one step of confidence.
#[derive(Debug, Default, Clone, Copy)]
struct Bin {
    finds: usize,
    right: usize,
    sum: f64,
}

const BINS: [f64; 10] = [0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98];

/// Everything that one file says about the detector.
#[derive(Debug, Default)]
struct Score {
    total: Tally,
    classes: BTreeMap<String, Tally>,
    kinds: BTreeMap<String, Tally>,
    families: BTreeMap<String, Tally>,
    languages: BTreeMap<String, Tally>,
    /// Right finds whose chain, role, method or coin type was labelled: how many agree.
    labels: BTreeMap<&'static str, Bin>,
    bins: [Bin; BINS.len()],
    /// Whether a find was none, as one that stands nowhere.
    unsound: bool,
    /// The first wrong case of each kind, and how many there are.
    wrong: BTreeMap<String, (usize, String)>,
}

fn list<'a>(case: &'a Value, key: &str) -> &'a [Value] {
    case[key].as_array().map_or(&[], Vec::as_slice)
}

/// Family and address as they are compared; a coin counts by its package.
fn key(family: &str, address: &str) -> (String, String) {
    (
        family.to_owned(),
        address.split("::").next().unwrap_or_default().to_owned(),
    )
}

fn keys(case: &Value, name: &str) -> BTreeMap<(String, String), Value> {
    list(case, name)
        .iter()
        .map(|entry| {
            (
                key(entry["family"].as_str().unwrap(), entry["address"].as_str().unwrap()),
                entry.clone(),
            )
        })
        .collect()
}

fn find(detector: &Detector, case: &Value) -> Findings {
    let entities: Vec<Entity<'_>> = list(case, "entities")
        .iter()
        .map(|entity| Entity {
            kind: EntityKind::from_name(entity["kind"].as_str().unwrap()),
            offset: entity["offset"].as_u64().unwrap() as usize,
            length: entity["length"].as_u64().unwrap() as usize,
            url: entity["url"].as_str(),
        })
        .collect();
    let buttons: Vec<Button<'_>> = list(case, "buttons")
        .iter()
        .map(|button| match (button["url"].as_str(), button["copy"].as_str()) {
            (Some(url), _) => Button::Url(url),
            (None, copy) => Button::Copy(copy.unwrap()),
        })
        .collect();
    let links: Vec<&str> = list(case, "links").iter().map(|link| link.as_str().unwrap()).collect();
    let names: Vec<Name<'_>> = list(case, "names")
        .iter()
        .map(|name| match (name["sender"].as_str(), name["chat"].as_str()) {
            (Some(sender), _) => Name::Sender(sender),
            (None, chat) => Name::Chat(chat.unwrap()),
        })
        .collect();
    let mut found = Findings::default();
    detector.find(
        &Input {
            text: case["text"].as_str().unwrap(),
            entities: &entities,
            buttons: &buttons,
            links: &links,
            quote: case["quote"].as_str().unwrap_or_default(),
            names: &names,
            prior: case["prior"].as_str(),
        },
        &mut found,
    );
    found
}

/// What no find may be, whatever it found.
fn unsound(text: &str, find: &Find) -> Option<String> {
    let stands = find
        .span
        .clone()
        .is_none_or(|span| text.get(span) == Some(find.raw.as_str()));
    let told = (0.0..=1.0).contains(&find.confidence) && !find.evidence.is_empty();
    (!stands || !told).then(|| format!("unsound {find:?}"))
}

impl Score {
    fn of(lines: &str) -> Self {
        let detector = Detector::new();
        let mut score = Self::default();
        for line in lines.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let found = find(&detector, &case);
            score.count(&case, &found);
        }
        score
    }

    fn count(&mut self, case: &Value, found: &Findings) {
        let (expected, allowed) = (keys(case, "expect"), keys(case, "allow"));
        let kind = format!(
            "{} / {}",
            case["class"].as_str().unwrap(),
            case["note"].as_str().unwrap_or("-")
        );
        let mut seen = BTreeSet::new();
        let mut tally = Tally {
            cases: 1,
            ..Tally::default()
        };
        let mut complaints = Vec::new();
        for find in &found.finds {
            let unsound = unsound(case["text"].as_str().unwrap(), find);
            self.unsound |= unsound.is_some();
            complaints.extend(unsound);
            let key = key(find.family.as_str(), &find.address);
            if !seen.insert(key.clone()) || (allowed.contains_key(&key) && !expected.contains_key(&key)) {
                continue;
            }
            let label = expected.get(&key);
            self.weigh(find.confidence, label.is_some());
            if let Some(label) = label {
                tally.right += 1;
                self.families.entry(key.0).or_default().right += 1;
                complaints.extend(self.compare(label, find));
            } else {
                tally.invented += 1;
                self.families.entry(key.0.clone()).or_default().invented += 1;
                complaints.push(format!(
                    "extra {} {} {:.2} {:?}",
                    key.0, key.1, find.confidence, find.evidence
                ));
            }
        }
        for key in expected.keys().filter(|key| !seen.contains(*key)) {
            tally.missed += 1;
            self.families.entry(key.0.clone()).or_default().missed += 1;
            complaints.push(format!("missed {} {}", key.0, key.1));
        }
        if case["unresolved"] == true {
            self.agree("unresolved", !found.unresolved.is_empty());
            if found.unresolved.is_empty() {
                complaints.push("the lost link is not told".to_owned());
            }
        }
        if !complaints.is_empty() {
            let first = self.wrong.entry(kind.clone()).or_default();
            first.0 += 1;
            if first.0 <= 8 {
                write!(first.1, "\n    {}\n      {}", case, complaints.join("\n      ")).unwrap();
            }
        }
        self.kinds.entry(kind).or_default().add(tally);
        self.classes
            .entry(case["class"].as_str().unwrap().to_owned())
            .or_default()
            .add(tally);
        if let Some(lang) = case["lang"].as_str() {
            self.languages.entry(lang.to_owned()).or_default().add(tally);
        }
        if case["ambiguous"] != true {
            self.total.add(tally);
        }
    }

    fn weigh(&mut self, confidence: f64, right: bool) {
        let bin = BINS.iter().rposition(|from| confidence >= *from).unwrap_or(0);
        self.bins[bin].finds += 1;
        self.bins[bin].right += usize::from(right);
        self.bins[bin].sum += confidence;
    }

    /// Whether about as many finds are right as their confidence says, or a few more, in every step
    /// that enough finds have.
    fn is_calibrated(&self) -> bool {
        const ENOUGH: usize = 200;
        self.bins.iter().filter(|bin| bin.finds >= ENOUGH).all(|bin| {
            let (right, stated) = (share(bin.right, bin.finds), bin.sum / bin.finds as f64);
            (stated - 0.01..stated + 0.08).contains(&right)
        })
    }

    fn agree(&mut self, what: &'static str, right: bool) {
        let bin = self.labels.entry(what).or_default();
        bin.finds += 1;
        bin.right += usize::from(right);
    }

    /// What the label says beyond family and address, where it says more.
    fn compare(&mut self, label: &Value, find: &Find) -> Vec<String> {
        let coin = label["address"].as_str().filter(|address| address.contains("::"));
        let told = [
            ("chain", label["chain"].as_str(), find.chain),
            ("role", label["role"].as_str(), Some(find.role.as_str())),
            ("method", label["method"].as_str(), Some(find.method.as_str())),
            ("coin_type", coin, find.coin_type.as_deref()),
        ];
        let mut out = Vec::new();
        for (what, expected, got) in told {
            if expected.is_some() {
                self.agree(what, expected == got);
                if expected != got {
                    out.push(format!("{what} {got:?} instead of {expected:?}"));
                }
            }
        }
        out
    }

    /// The figures that may be looked at for both files.
    fn summary(&self, name: &str) -> String {
        let mut out = format!(
            "\n{name:34} precis recall     f1  right extr miss  cases\n{:34} {}\n",
            "TOTAL",
            self.total.row()
        );
        for (title, rows) in [("class", &self.classes), ("family", &self.families)] {
            for (row, tally) in rows {
                writeln!(out, "  {title} {row:26} {}", tally.row()).unwrap();
            }
        }
        for (label, bin) in &self.labels {
            writeln!(
                out,
                "  label {label:26} {:.4} of {}",
                share(bin.right, bin.finds),
                bin.finds
            )
            .unwrap();
        }
        writeln!(out, "  confidence from     finds  right   mean").unwrap();
        for (from, bin) in BINS.iter().zip(&self.bins).filter(|(_, bin)| bin.finds > 0) {
            writeln!(
                out,
                "    {from:.2}             {:6} {:.4} {:.4}",
                bin.finds,
                share(bin.right, bin.finds),
                bin.sum / bin.finds as f64
            )
            .unwrap();
        }
        out
    }

    /// Every kind of case, and examples of what went wrong.
    fn details(&self) -> String {
        let mut out = String::new();
        for (kind, tally) in &self.kinds {
            writeln!(out, "  kind {kind:48} {}", tally.row()).unwrap();
        }
        for (lang, tally) in &self.languages {
            writeln!(out, "  language {lang:8} {}", tally.row()).unwrap();
        }
        for (kind, (count, examples)) in &self.wrong {
            writeln!(out, "\n  {count} wrong of {kind}{examples}").unwrap();
        }
        out
    }
}

/// What the detector reaches on both parts, a little below the figures of the last change. Whoever
/// makes it better raises them; nobody lowers them. The aim is 0.995 in total, 0.97 of the disguised
/// and nothing found where there is nothing.
const OPEN_FLOOR: Floor = Floor {
    total: 0.998,
    disguised: 0.996,
    invented: 0,
};
const HELD_FLOOR: Floor = Floor {
    total: 0.992,
    disguised: 0.983,
    invented: 5,
};
/// Plain texts, links, and cards with several addresses, in either part.
const UNDISGUISED: f64 = 0.995;

/// What one part has to reach.
struct Floor {
    total: f64,
    disguised: f64,
    /// Finds where there is nothing.
    invented: usize,
}

#[test]
fn labelled_messages_are_read_right() {
    let (open, held) = (Score::of(OPEN), Score::of(HELD));
    println!(
        "{}{}{}",
        open.summary("open.jsonl"),
        open.details(),
        held.summary("held.jsonl")
    );
    for (name, score, floor) in [("open", &open, OPEN_FLOOR), ("held", &held, HELD_FLOOR)] {
        let class = |class: &str| score.classes[class];
        assert!(score.total.f1() >= floor.total, "{name}: {}", score.summary(name));
        assert!(
            class("obfuscated").f1() >= floor.disguised,
            "{name}: {}",
            score.summary(name)
        );
        for plain in ["plain", "link", "multi"] {
            assert!(class(plain).f1() >= UNDISGUISED, "{name}: {}", score.summary(name));
        }
        let invented = class("near_miss").invented + class("negative").invented;
        assert!(invented <= floor.invented, "{name}: {}", score.summary(name));
        assert!(!score.unsound, "{name}: a find is unsound");
        assert!(score.is_calibrated(), "{name}: {}", score.summary(name));
        assert!(score.total.cases > 3500, "{name}: cases are gone");
    }
}

fn python() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python");
    if installed.exists() {
        installed
    } else {
        "python3".into()
    }
}

/// The files are what the script writes, so nobody bends a case by hand.
#[test]
fn labelled_files_are_fresh() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/generate.py");
    let out = Command::new(python()).arg(&script).arg("--check").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
