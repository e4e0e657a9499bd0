//! What stands around exeat where it is deployed.

mod transparent;
