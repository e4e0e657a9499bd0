//! `deploy/`: what is shipped beside the program, as it is used.

mod compose;
mod image;
mod package;
mod shipped;
mod units;
