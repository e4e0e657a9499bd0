//! The policy language a second time, slow and obvious: written from what the documentation says, one rule after the other, sharing no code with exeat.

pub mod address;
pub mod approval;
pub mod decide;
pub mod head;
pub mod loads;
pub mod name;
pub mod path;
pub mod pattern;
pub mod request;
pub mod written;
