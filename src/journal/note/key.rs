//! The key that signs the checkpoints of a state folder: `STATE/journal.key`, made once, private, never overwritten.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::SigningKey;
use rustix::fs::OFlags;
use rustix::io::Errno;
use signed_note::{StandardSigner, key_id};

use super::{Signer, origin, vkey};
use crate::text::trouble;

/// The file's name in the state folder.
const FILE: &str = "journal.key";

/// The file is one line of about 110 bytes.
const LONGEST: u64 = 1000;

/// The algorithm's identifier in C2SP signed-note.
const ED25519: u8 = 1;

/// A signing key and the log's id that was made with it. What it prints is no secret.
pub struct Key {
    log: String,
    secret: SigningKey,
}

impl Key {
    /// The state folder's key, which is made where it is not there. Processes that start at once agree on one.
    pub fn open(state: &Path) -> Result<Self, KeyError> {
        let path = state.join(FILE);
        match read(&path) {
            Err(KeyError::Io { kind: ErrorKind::NotFound, .. }) => {}
            result => return result,
        }
        Self::generate()?.save(&path)?;
        // It may be the one that another process made in between.
        read(&path)
    }

    /// The log's id: 16 hexadecimal digits.
    pub fn log_id(&self) -> &str {
        &self.log
    }

    /// What signs for a slot.
    pub fn signer(&self, slot: &str) -> Signer {
        let origin = origin(&self.log, slot);
        let signer = StandardSigner::new(&self.secret_text(&origin)).expect("the text is made of a key");
        let verifier = vkey(&origin, &self.public());
        Signer { origin, signer, verifier }
    }

    fn generate() -> Result<Self, KeyError> {
        let (mut log, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut log).and_then(|()| getrandom::fill(&mut secret)).map_err(|_| KeyError::Chance)?;
        Ok(Self { log: HEXLOWER.encode(&log), secret: SigningKey::from_bytes(&secret) })
    }

    /// Reads what `save` wrote.
    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n')?;
        let [private, key, name, _, secret] = *line.splitn(5, '+').collect::<Vec<_>>().as_slice() else { return None };
        let log = name.strip_prefix("exeat/")?;
        let hexadecimal = log.len() == 16 && log.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let secret = BASE64.decode(secret.as_bytes()).ok()?;
        let secret: [u8; 32] = secret.strip_prefix(&[ED25519])?.try_into().ok()?;
        let found = Self { log: log.to_owned(), secret: SigningKey::from_bytes(&secret) };
        (hexadecimal && (private, key) == ("PRIVATE", "KEY") && found.secret_text(name) == line).then_some(found)
    }

    /// The key in the form of the Go package `note`, under a name.
    fn secret_text(&self, name: &str) -> String {
        let secret = [&[ED25519], self.secret.as_bytes().as_slice()].concat();
        format!("PRIVATE+KEY+{name}+{:08x}+{}", key_id(name, &self.public()), BASE64.encode(&secret))
    }

    fn public(&self) -> Vec<u8> {
        [&[ED25519], self.secret.verifying_key().as_bytes().as_slice()].concat()
    }

    /// Puts the key in its place, whole and at once; leaves what is there.
    fn save(&self, path: &Path) -> Result<(), KeyError> {
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|_| KeyError::Chance)?;
        let draft = path.with_extension(format!("key.{}", HEXLOWER.encode(&chance)));
        let saved = self.write(&draft).and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        });
        // A draft that stays is private, and nobody reads it.
        let _ = fs::remove_file(&draft);
        let synced = saved.and_then(|()| File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all());
        synced.map_err(|error| KeyError::new(path, &error))
    }

    fn write(&self, draft: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        file.write_all(format!("{}\n", self.secret_text(&format!("exeat/{}", self.log))).as_bytes())?;
        file.sync_all()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(exeat/{}, not shown)", self.log)
    }
}

fn read(path: &Path) -> Result<Key, KeyError> {
    let fail = |error: io::Error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => KeyError::Link { path: path.to_owned() },
        Some(_) | None => KeyError::new(path, &error),
    };
    // A pipe of that name is not waited for.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).map_err(|error| fail(io::Error::other(error)))?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    let data = file.metadata().map_err(fail)?;
    if !data.is_file() {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    judge(path, data.mode() & 0o7777, data.uid(), rustix::process::geteuid().as_raw())?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(fail)?;
    if text.is_empty() {
        return Err(KeyError::Empty { path: path.to_owned() });
    }
    let key = std::str::from_utf8(&text).ok().and_then(Key::parse);
    key.ok_or_else(|| KeyError::Garbled { path: path.to_owned() })
}

fn judge(path: &Path, mode: u32, owner: u32, user: u32) -> Result<(), KeyError> {
    if owner != user {
        Err(KeyError::Foreign { path: path.to_owned(), owner })
    } else if mode & 0o077 != 0 {
        Err(KeyError::Exposed { path: path.to_owned(), mode })
    } else {
        Ok(())
    }
}

/// What to do about a file that is no key.
const ANEW: &str = "put the copy you keep back; or move it away and start again, and a new key with a new log id is made";

/// Why there is no key. The file is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be made or read.
    #[error("the key of the journal, {}, cannot be used: {}; correct it or its permissions", path.display(), trouble(*kind))]
    Io {
        /// The file.
        path: PathBuf,
        /// How it failed.
        kind: ErrorKind,
    },
    /// It is a symbolic link.
    #[error("{} is a symbolic link, and the key of the journal must be a file of its own: put the file it leads to in its place", path.display())]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is no file, and the key of the journal is to be one: {ANEW}", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may use it.
    #[error("{} may be used by others (mode {mode:o}): whoever reads it can sign a forged journal; if nobody did, chmod 600 it, or else move it away", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user, who can read it.
    #[error("{} belongs to uid {owner}: run exeat as that user, or move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// There is nothing in it.
    #[error("{} is empty, and the key of the journal was wanted: {ANEW}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is not what exeat wrote.
    #[error("{} is not the key that exeat wrote there (one line, PRIVATE+KEY+exeat/…): {ANEW}", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bits.
    #[error("the system gave no random bits for the key of the journal")]
    Chance,
}

impl KeyError {
    fn new(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), kind: error.kind() }
    }
}
