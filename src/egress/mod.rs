//! The neck: the only way out. Only a [`Permit`] from the [`Gate`] reaches the one dialer; token fields never leave this folder.

mod body;
mod budget;
mod claim;
mod dial;
mod exchange;
mod gate;
pub mod hold;
mod hygiene;
mod interception;
mod live;
mod look;
mod open;
mod pool;
pub mod record;
mod refusal;
mod relay;
mod resolve;
mod seats;
mod tunnel;
mod upstream;
mod watch;
mod websocket;

pub use body::{Broken, RecordedBody};
pub use budget::{Budget, Exhausted};
pub use claim::{Claim, Objection};
pub use exchange::{Answer, Exchanged};
pub use gate::{Admission, Company, Gate, GateSettings, Permit};
pub use interception::{InnerEnd, Interception};
pub use look::{Peek, Unseen};
pub use refusal::{Cause, NetworkFault, Refusal};
pub use resolve::{NoResolver, Resolver};
pub use tunnel::{AgentSide, Carried, Receipt};
pub use upstream::{Connected, Upstream, UpstreamSettings};
pub use watch::{Watch, Watching, watch};
pub use websocket::WebSocket;
