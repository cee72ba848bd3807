//! Finds contract addresses in chat text: text in, finds out.
//!
//! ```
//! use tgmesh_detect::{Detector, Findings, Input};
//!
//! let detector = Detector::new();
//! let mut found = Findings::default();
//! detector.find(&Input { text: "gm frens, wen moon", ..Input::default() }, &mut found);
//! assert!(found.finds.is_empty());
//!
//! let text = "new on #Base: 0x5597Ce42b315F29e42071d231dcd0158DA35B77b";
//! detector.find(&Input { text, ..Input::default() }, &mut found);
//! assert_eq!(found.finds[0].chain, Some("base"));
//! assert_eq!(found.finds[0].evidence, ["eip55", "word:base"]);
//! ```

mod chains;
mod detector;
mod disguise;
mod evidence;
mod families;
mod find;
mod gather;
mod input;
mod links;
pub mod rules;
mod scan;
mod secrets;

pub use detector::Detector;
pub use find::{Family, Find, Findings, Method, Role, UnresolvedLink};
pub use input::{Button, Entity, EntityKind, Input, Name};
pub use secrets::{Masker, Secret, SecretKind};

/// The version that `listener.detector` names in each event.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
