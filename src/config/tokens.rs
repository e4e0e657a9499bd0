//! Tokens issued to agents: kept as digests in `STATE/tokens.json`, written by rename under a lock. A token itself is shown once and kept nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::attempt::AgentId;
use crate::policy::token::{APPROVER, LOG_IN, SESSION, TokenDigest};
use crate::text::trouble;

/// Tokens one agent may have at a time.
const PER_AGENT: usize = 64;
/// Room for tens of thousands of tokens.
const BYTES_MAX: u64 = 8 << 20;

/// A token's text. It is shown once; nothing but `expose` gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// An agent's: 256 bits from the system's generator, as `exeat_` and 64 hexadecimal digits.
    pub fn generate() -> Result<Self, TokenError> {
        Self::beginning_with("exeat_")
    }

    /// An approver's.
    pub fn for_approver() -> Result<Self, TokenError> {
        Self::beginning_with(APPROVER)
    }

    /// A session's of the page.
    pub fn for_session() -> Result<Self, TokenError> {
        Self::beginning_with(SESSION)
    }

    /// What a log-in link carries; it is exchanged for a session and opens nothing itself.
    pub fn for_log_in() -> Result<Self, TokenError> {
        Self::beginning_with(LOG_IN)
    }

    /// Whether it looks like one that opens the API.
    pub fn is_a_persons(text: &str) -> bool {
        text.starts_with(APPROVER) || text.starts_with(SESSION)
    }

    fn beginning_with(prefix: &str) -> Result<Self, TokenError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| TokenError::Chance)?;
        Ok(Self(format!("{prefix}{}", HEXLOWER.encode(&bytes))))
    }

    /// The text, for the one who is to have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it is known by.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// Whose it is.
    pub agent: AgentId,
    /// What it is known by.
    pub digest: TokenDigest,
    /// When it was issued.
    pub at: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tokens: Vec<Issued>,
}

/// Why the tokens could not be read or changed. None of these lets anybody in.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The folder they are in.
    #[error(transparent)]
    State(#[from] super::state::StateError),
    /// The file or its folder.
    #[error("{} cannot be used: {}; correct it or its permissions, or name another `state`", path.display(), trouble(*kind))]
    Io {
        /// Which.
        path: PathBuf,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// The file is there and is not what exeat wrote.
    #[error("{} is not what exeat wrote (line {line}): move it away and issue the tokens anew", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 where the file as a whole is meant.
        line: usize,
    },
    /// Others than its owner may use the file.
    #[error("{} may be used by others (mode {mode:o}): whoever writes to it makes tokens; chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The agent has as many tokens as it may.
    #[error(
        "{agent} has {PER_AGENT} tokens, the most it may have; `exeat agents --revoke {agent}` takes back every one, and cuts off \
         whatever uses one until it is given a new one"
    )]
    Full {
        /// The agent.
        agent: AgentId,
    },
    /// The system gave no random bits.
    #[error("the system gave no random bits")]
    Chance,
}

/// The tokens of one state folder. Each call reads the file anew, so that several processes may use it.
#[derive(Clone, Debug)]
pub struct TokenStore {
    folder: PathBuf,
    file: PathBuf,
}

impl TokenStore {
    /// The store in `state`, which is made (0700) where it is not there.
    pub fn open(state: &Path) -> Result<Self, TokenError> {
        super::state::make(state)?;
        let store = Self { folder: state.to_owned(), file: state.join("tokens.json") };
        store.read()?;
        Ok(store)
    }

    /// Issues a token to an agent; it joins those the agent has.
    pub fn issue(&self, agent: &AgentId, at: SystemTime) -> Result<Token, TokenError> {
        let token = Token::generate()?;
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::MIN);
        self.change(|tokens| {
            if tokens.iter().filter(|issued| issued.agent == *agent).count() >= PER_AGENT {
                return Err(TokenError::Full { agent: agent.clone() });
            }
            tokens.push(Issued { agent: agent.clone(), digest: token.digest(), at });
            Ok(())
        })?;
        Ok(token)
    }

    /// Takes back every token of an agent, and says how many those were.
    pub fn revoke(&self, agent: &AgentId) -> Result<usize, TokenError> {
        let mut revoked = 0;
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|issued| issued.agent != *agent);
            revoked = before - tokens.len();
            Ok(())
        })?;
        Ok(revoked)
    }

    /// Every digest and whose it is.
    pub fn digests(&self) -> Result<Vec<(TokenDigest, AgentId)>, TokenError> {
        Ok(self.read()?.into_iter().map(|issued| (issued.digest, issued.agent)).collect())
    }

    /// The tokens by agent, in the order they were issued.
    pub fn list(&self) -> Result<BTreeMap<AgentId, Vec<Issued>>, TokenError> {
        let mut agents: BTreeMap<AgentId, Vec<Issued>> = BTreeMap::new();
        for issued in self.read()? {
            agents.entry(issued.agent.clone()).or_default().push(issued);
        }
        Ok(agents)
    }

    fn read(&self) -> Result<Vec<Issued>, TokenError> {
        let failed = |error: &io::Error| io_error(&self.file, error);
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let mode = file.metadata().map_err(|error| failed(&error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed { path: self.file.clone(), mode });
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
        let written: Result<Written, _> = serde_json::from_str(&text);
        Ok(written.map_err(|error| TokenError::Garbled { path: self.file.clone(), line: error.line() })?.tokens)
    }

    /// Reads, changes and replaces the file while no other process does.
    fn change(&self, change: impl FnOnce(&mut Vec<Issued>) -> Result<(), TokenError>) -> Result<(), TokenError> {
        let lock_path = self.folder.join("tokens.lock");
        let lock = private(&lock_path, false).map_err(|error| io_error(&lock_path, &error))?;
        lock.lock().map_err(|error| io_error(&lock_path, &error))?;
        let mut tokens = self.read()?;
        change(&mut tokens)?;
        self.replace(&Written { tokens }).map_err(|error| io_error(&self.file, &error))
    }

    fn replace(&self, written: &Written) -> io::Result<()> {
        let beside = self.folder.join("tokens.json.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private(&beside, true)?;
        file.write_all(&serde_json::to_vec_pretty(written)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Opens a file only its owner may use.
fn private(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).create_new(new).truncate(false).mode(0o600).open(path)
}

fn io_error(path: &Path, error: &io::Error) -> TokenError {
    TokenError::Io { path: path.to_owned(), kind: error.kind() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn store() -> (tempfile::TempDir, TokenStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::open(&folder.path().join("state")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_token_is_256_bits_and_never_twice_the_same() {
        let (one, two) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one, two);
        let digits = one.expose().strip_prefix("exeat_").unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
        assert!(!format!("{one:?}").contains(digits));
    }

    #[test]
    fn only_the_digest_of_an_issued_token_is_kept() {
        let (_folder, store) = store();
        let token = store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(store.digests().unwrap(), [(TokenDigest::of(token.expose()), agent("coder"))]);
        let text = fs::read_to_string(&store.file).unwrap();
        assert!(!text.contains(token.expose()) && text.contains("1970-01-01T00:00:00Z"), "{text}");
    }

    #[test]
    fn files_and_folder_are_for_their_owner_only() {
        let (_folder, store) = store();
        store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.folder), 0o700);
        assert_eq!(mode(&store.file), 0o600);
        assert_eq!(mode(&store.folder.join("tokens.lock")), 0o600);
    }

    #[test]
    fn revoking_takes_every_token_of_that_agent_and_of_no_other() {
        let (_folder, store) = store();
        for name in ["coder", "coder", "tester"] {
            store.issue(&agent(name), SystemTime::UNIX_EPOCH).unwrap();
        }
        assert_eq!(store.list().unwrap()[&agent("coder")].len(), 2);
        assert_eq!(store.revoke(&agent("coder")).unwrap(), 2);
        assert_eq!(store.revoke(&agent("coder")).unwrap(), 0);
        assert_eq!(store.list().unwrap().into_keys().collect::<Vec<_>>(), [agent("tester")]);
    }

    #[test]
    fn another_process_sees_what_was_issued() {
        let (_folder, store) = store();
        let other = TokenStore::open(&store.folder).unwrap();
        store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(other.digests().unwrap().len(), 1);
    }

    #[test]
    fn issuing_at_the_same_time_loses_none() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).unwrap());
            }
        });
        assert_eq!(store.digests().unwrap().len(), 8);
    }

    #[test]
    fn an_agent_has_at_most_64_tokens() {
        let (_folder, store) = store();
        let issued = |n| Issued { agent: agent("coder"), digest: TokenDigest::of(&format!("{n}")), at: Timestamp::UNIX_EPOCH };
        store
            .change(|tokens| {
                tokens.extend((0..PER_AGENT).map(issued));
                Ok(())
            })
            .unwrap();
        let full = store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).err().map(|error| error.to_string());
        let words = "coder has 64 tokens, the most it may have; `exeat agents --revoke coder` takes back every one, and cuts off \
                     whatever uses one until it is given a new one";
        assert_eq!(full.as_deref(), Some(words));
        assert!(store.issue(&agent("tester"), SystemTime::UNIX_EPOCH).is_ok());
    }

    #[test]
    fn a_file_that_is_garbled_or_open_to_others_is_refused() {
        let (_folder, store) = store();
        for text in
            ["", "{}", "{\"tokens\":[]} x", "{\"tokens\":[],\"more\":1}", "{\"tokens\":[{\"agent\":\"A\",\"digest\":\"x\",\"at\":\"y\"}]}"]
        {
            let _ = fs::remove_file(&store.file);
            private(&store.file, true).unwrap().write_all(text.as_bytes()).unwrap();
            assert!(matches!(store.digests(), Err(TokenError::Garbled { .. })), "{text}");
            assert!(store.issue(&agent("coder"), SystemTime::UNIX_EPOCH).is_err(), "{text}");
        }
        fs::write(&store.file, "{\"tokens\":[]}").unwrap();
        assert!(store.digests().unwrap().is_empty());
        fs::set_permissions(&store.file, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(store.digests(), Err(TokenError::Exposed { mode: 0o620, .. })));
    }

    #[test]
    fn a_state_that_is_no_folder_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = TokenStore::open(file.path()).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
