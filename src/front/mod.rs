//! Ways in. Each finds the destination and the evidence, then delegates; yes and no are said in its protocol.

mod accept;
mod connect;
mod credentials;
mod forward;
mod head;
mod http1;
mod http2;
mod inside;
mod listener;
mod refusal;
mod stop;
mod transparent;
mod websocket;
mod wire;
pub mod words;

pub use head::claim;
pub use http1::builder;
pub use listener::{Door, FrontSettings, Neck, Ways};
pub use stop::Stop;
