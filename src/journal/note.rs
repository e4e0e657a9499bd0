//! Checkpoints as signed notes (C2SP tlog-checkpoint over signed-note, Ed25519): made by a slot's signer, opened by its verifier.
//!
//! Origin and key name are both `exeat/LOGID/SLOT`; one key signs for all slots of a state folder.

mod key;
mod reading;

use std::fmt;

use data_encoding::BASE64;
use signed_note::{Note, NoteError, StandardSigner, StandardVerifier, Verifier as _, VerifierError, VerifierList, key_id};
use tlog_tiles::{Checkpoint, Hash};

use crate::text::plain;

pub use key::{Key, KeyError};
pub use reading::{At, Next, Notes};

/// Signs a slot's checkpoints.
pub struct Signer {
    origin: String,
    signer: StandardSigner,
    verifier: String,
}

impl Signer {
    /// The origin of its checkpoints, `exeat/LOGID/SLOT`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What checks its checkpoints, in one line without an end: the C2SP verifier key.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The note over a tree of this size and root: three lines, an empty one, a signature, each with its end.
    /// The same tree gives the same note.
    pub fn sign(&self, size: u64, root: Hash) -> String {
        let checkpoint = Checkpoint::new(&self.origin, size, root, "").expect("an origin is not empty");
        let mut note = Note::new(&checkpoint.to_bytes(), &[]).expect("a checkpoint is short, printable and ends its lines");
        note.add_sigs(&[&self.signer]).expect("an origin is a key name, and Ed25519 signs any text");
        String::from_utf8(note.to_bytes()).expect("a note is text")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

/// Opens a slot's checkpoints.
#[derive(Clone)]
pub struct Verifier {
    text: String,
    verifier: StandardVerifier,
}

impl Verifier {
    /// Reads a C2SP verifier key, `NAME+ID+KEY`.
    pub fn parse(text: &str) -> Result<Self, NotAVerifier> {
        let not = |why| NotAVerifier { found: plain(text, 120), why };
        let verifier = StandardVerifier::new(text).map_err(|error| {
            not(match error {
                VerifierError::Format => "it is not NAME+ID+KEY",
                VerifierError::Alg => "it is no Ed25519 key",
                VerifierError::Id => "its ID is not that of its name and key",
            })
        })?;
        let lower = |id: &str| !id.bytes().any(|byte| byte.is_ascii_uppercase());
        if !text.split('+').nth(1).is_some_and(lower) {
            return Err(not("its ID is not in lower case"));
        }
        Ok(Self { text: text.to_owned(), verifier })
    }

    /// The key's name, which is the origin of what it checks.
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }

    /// The log without its slot, `exeat/LOGID`.
    pub fn log(&self) -> &str {
        self.origin().rsplit_once('/').map_or(self.origin(), |(log, _)| log)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same key under another name.
    pub fn named(&self, origin: &str) -> Self {
        let key = self.text.splitn(3, '+').nth(2).and_then(|key| BASE64.decode(key.as_bytes()).ok()).expect("it was parsed");
        let text = vkey(origin, &key);
        let verifier = StandardVerifier::new(&text).expect("only the name is another");
        Self { text, verifier }
    }

    /// The checkpoint in a note of this origin. Signatures of other keys are passed over.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NotACheckpoint> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| NotACheckpoint::Garbled)?;
        let verifiers = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        note.verify(&verifiers).map_err(|error| match error {
            NoteError::InvalidSignature { .. } => NotACheckpoint::Forged,
            NoteError::MalformedNote
            | NoteError::InvalidSigner
            | NoteError::MismatchedVerifier
            | NoteError::UnverifiedNote
            | NoteError::VerificationError(_)
            | NoteError::SignatureError(_) => NotACheckpoint::Unsigned { wanted: self.key_name() },
        })?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| NotACheckpoint::Garbled)?;
        match checkpoint.origin() == self.origin() {
            true => Ok(checkpoint),
            false => Err(NotACheckpoint::Elsewhere { found: plain(checkpoint.origin(), 120) }),
        }
    }

    fn key_name(&self) -> String {
        format!("{}+{:08x}", self.verifier.name(), self.verifier.key_id())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.text)
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A text that is no verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no verifier key: {why}; it is the one line of the file `verifier` in a slot of the journal")]
pub struct NotAVerifier {
    found: String,
    why: &'static str,
}

/// Why a note is not a checkpoint of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACheckpoint {
    /// It has not the form of one.
    #[error("it is no checkpoint (origin, size, root, an empty line, signatures)")]
    Garbled,
    /// The key's signature does not fit.
    #[error("its signature does not fit its text")]
    Forged,
    /// The key did not sign it.
    #[error("it is not signed by {wanted}")]
    Unsigned {
        /// The key's name and id.
        wanted: String,
    },
    /// It is signed by the key for another log.
    #[error("it is of another log, {found}")]
    Elsewhere {
        /// The origin in it.
        found: String,
    },
}

/// The name of a slot's log.
fn origin(log: &str, slot: &str) -> String {
    format!("exeat/{log}/{slot}")
}

/// A verifier key of a name and an encoded public key, its algorithm first.
fn vkey(name: &str, key: &[u8]) -> String {
    format!("{name}+{:08x}+{}", key_id(name, key), BASE64.encode(key))
}

#[cfg(test)]
mod tests;
