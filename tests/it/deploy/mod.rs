//! exeat where it is run: how it ends, what it is given, what it is short of.

mod drain;
