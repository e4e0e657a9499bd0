//! `deploy/`: what is shipped beside the program, as it is used.

mod gateway;
mod netns;
mod sidecar;
