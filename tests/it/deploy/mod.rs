//! `deploy/`: what is shipped beside the program, as it is used.

mod image;
mod shipped;
