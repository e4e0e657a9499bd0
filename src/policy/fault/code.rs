//! The codes of warnings: words for programs. `docs/warnings.md` has a section for each, and a test holds the two together.

/// A wildcard over places that strangers rent, which the rule accepts.
pub const SHARED_HOSTING: &str = "shared-hosting";
/// A name at servers of a content delivery network that answer for other customers too.
pub const SHARED_EDGE: &str = "shared-edge";
/// A `source` that every peer has.
pub const IDENTIFIES_EVERYONE: &str = "identifies-everyone";
/// A wildcard over names that stay refused.
pub const SPECIAL_NAME: &str = "special-name";
/// More private space than one site has.
pub const WIDE_PRIVATE: &str = "wide-private";
/// A rule that never changes what is decided: another always comes before it.
pub const SHADOWED_RULE: &str = "shadowed-rule";
/// An allow rule for what the floor blocks.
pub const FLOOR_SHADOW: &str = "floor-shadow";
/// Something that ended already.
pub const PAST_UNTIL: &str = "past-until";
/// Questions that only a person at a terminal can answer.
pub const UNATTENDED_HOLDS: &str = "unattended-holds";
/// A listener that others on the network can listen in on.
pub const PLAIN_LISTENER: &str = "plain-listener";
/// A name in `freeze` that no agent has.
pub const FREEZES_NOBODY: &str = "freezes-nobody";
/// A file whose name is nearly a right one.
pub const UNREAD_FILE: &str = "unread-file";
/// A method that nobody registered, and that differs from a common one by a slip of the pen.
pub const NEAR_METHOD: &str = "near-method";
/// A credential that goes into every request to its host.
pub const UNBOUND_INJECT: &str = "unbound-inject";
/// A variable or file with a secret that is not there now.
pub const MISSING_SECRET: &str = "missing-secret";
/// A credential for a host that no rule lets the agent reach.
pub const UNUSED_INJECT: &str = "unused-inject";
/// A WebSocket of an agent whose requests are searched.
pub const UNSEARCHED_WEBSOCKET: &str = "unsearched-websocket";
/// A credential of an agent that is known only by where it connects from.
pub const UNPROVEN_INJECT: &str = "unproven-inject";
