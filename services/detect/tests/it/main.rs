//! The detector as its callers see it.

mod alloc;
mod cases;
mod corpus;
mod labelled;
mod fuzz;
mod linear;
mod make;
mod properties;
