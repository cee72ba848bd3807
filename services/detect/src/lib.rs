//! Finds contract addresses in chat text: text in, finds out.
//!
//! ```
//! use tgmesh_detect::{Detector, Input};
//!
//! let detector = Detector::new();
//! let mut finds = Vec::new();
//! detector.find(&Input { text: "gm frens, wen moon", ..Input::default() }, &mut finds);
//! assert!(finds.is_empty());
//! ```

mod detector;
mod find;
mod input;

pub use detector::Detector;
pub use find::{Family, Find, Method, Role};
pub use input::{Button, Entity, EntityKind, Input};

/// The version that `listener.detector` names in each event.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
