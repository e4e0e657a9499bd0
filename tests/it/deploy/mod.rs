//! `deploy/`: what is shipped beside the program, as it is used.

mod ci;
pub(crate) mod kubernetes;
