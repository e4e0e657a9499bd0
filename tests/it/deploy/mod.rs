//! `deploy/`: what is shipped beside the program, as it is used; and exeat where it is run: how it ends, what it is given, what it is short of.

mod activation;
pub(crate) mod ci;
mod compose;
mod doctor;
mod drain;
mod gateway;
mod image;
pub(crate) mod kubernetes;
mod limits;
mod netns;
mod package;
mod restart;
mod shipped;
mod sidecar;
mod transparent;
mod units;
mod user;
