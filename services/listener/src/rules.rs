//! The watch rules in force: read from a file at the start, and again when it has changed.
//!
//! The file's content is compared, twice a second, instead of asking the system for events: that
//! works the same through symbolic links that are swapped (a `ConfigMap`), files that an editor puts
//! in place of the old one, network drives and bind mounts. A content counts once two looks in
//! a row have seen it, so that a file that is being written is not taken half.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tgmesh_detect::rules::{MAX_FILE_BYTES, Rules};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::stats::Stats;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The rules in force, for those who match.
pub type Current = watch::Receiver<Arc<Rules>>;

/// A rule file that was read.
#[derive(Debug)]
pub struct RuleFile {
    path: PathBuf,
    rules: Arc<Rules>,
    content: [u8; 32],
}

/// What a look at the file saw.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// A content, by its hash.
    Content([u8; 32]),
    /// Nothing that can be read, and why.
    Unreadable(String),
}

impl RuleFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, for people.
    pub fn open(path: PathBuf) -> Result<Self, Vec<String>> {
        let content = read(&path).map_err(|problem| vec![problem])?;
        Ok(Self {
            rules: Arc::new(parse(&content)?),
            content: hash(&content),
            path,
        })
    }
}

/// Rules that never change, where there is no file; else those of the file, and what keeps them
/// up to date until the token is cancelled.
pub fn keep(file: Option<RuleFile>, stats: Stats, until: CancellationToken) -> (Current, impl Future<Output = ()>) {
    let rules = file.as_ref().map(|file| Arc::clone(&file.rules)).unwrap_or_default();
    stats.watch_rules.set(rules.len() as f64);
    let (sender, current) = watch::channel(rules);
    let keeping = async move {
        let Some(file) = file else { return };
        tracing::info!(path = %file.path.display(), rules = file.rules.len(), "watch rules are in force");
        tokio::select! {
            () = follow(file, &sender, &stats) => {}
            () = until.cancelled() => {}
        }
    };
    (current, keeping)
}

async fn follow(file: RuleFile, rules: &watch::Sender<Arc<Rules>>, stats: &Stats) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut handled = Look::Content(file.content);
    let mut before = handled.clone();
    loop {
        ticks.tick().await;
        let path = file.path.clone();
        let settled = handled.clone();
        let last = before.clone();
        // Reading may wait for a disk, and compiling many expressions takes a second.
        let looked = tokio::task::spawn_blocking(move || {
            let (look, content) = match read(&path) {
                Ok(content) => (Look::Content(hash(&content)), content),
                Err(problem) => (Look::Unreadable(problem), Vec::new()),
            };
            let is_due = look != settled && look == last;
            let outcome = is_due.then(|| match &look {
                Look::Content(_) => parse(&content),
                Look::Unreadable(problem) => Err(vec![problem.clone()]),
            });
            (look, outcome)
        });
        // The error is a panic of the parser's, which is the process's.
        let Ok((look, outcome)) = looked.await else { return };
        match outcome {
            None => {}
            Some(Ok(new)) => {
                tracing::info!(path = %file.path.display(), rules = new.len(), "took over the changed watch rules");
                stats.watch_rules.set(new.len() as f64);
                stats.rule_reloads.inc();
                rules.send_replace(Arc::new(new));
                handled = look.clone();
            }
            Some(Err(problems)) => {
                for problem in problems {
                    tracing::error!(path = %file.path.display(), problem, "the watch rules cannot be used, those from before stay in force");
                }
                stats.rule_reload_failures.inc();
                handled = look.clone();
            }
        }
        before = look;
    }
}

/// The content, one byte more than is allowed at most.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("the file cannot be read: {error}");
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("this is no file".to_owned());
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(cannot)?;
    Ok(content)
}

fn hash(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn parse(content: &[u8]) -> Result<Rules, Vec<String>> {
    if content.len() > MAX_FILE_BYTES {
        return Err(vec![format!("the file has more than {MAX_FILE_BYTES} bytes")]);
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let line = String::from_utf8_lossy(&content[..error.valid_up_to()])
            .matches('\n')
            .count()
            + 1;
        vec![format!("line {line}: this is not UTF-8")]
    })?;
    Rules::parse(text).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_with_their_place() {
        let told = |content: &[u8]| parse(content).unwrap_err();
        assert_eq!(told(b"\n\xff"), ["line 2: this is not UTF-8"]);
        assert_eq!(
            told(b"[[rule]]\nname = 1"),
            [
                "line 1, column 1: the rule has neither literal nor regex",
                "line 2, column 8: this is of type integer, not a string"
            ]
        );
        assert!(told(&vec![b'#'; MAX_FILE_BYTES + 1])[0].contains("more than"));
        assert_eq!(parse("\u{feff}# Windows\r\n".as_bytes()).unwrap().len(), 0);
    }

    #[test]
    fn the_example_is_good() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/watch-rules.example.toml");
        let file = RuleFile::open(path.into()).unwrap();
        assert!(file.rules.len() >= 3);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        assert_eq!(RuleFile::open("/".into()).unwrap_err(), ["this is no file"]);
        assert!(RuleFile::open("/no/such/file".into()).unwrap_err()[0].starts_with("the file cannot be read"));
    }
}
