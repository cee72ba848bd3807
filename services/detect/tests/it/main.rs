//! The detector as its callers see it.

mod cases;
mod corpus;
mod make;
mod properties;
