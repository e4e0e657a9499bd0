//! `deploy/`: what is shipped beside the program, as it is used.

pub(crate) mod ci;
mod compose;
mod image;
pub(crate) mod kubernetes;
mod package;
mod shipped;
mod units;
