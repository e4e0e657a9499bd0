//! The cursor of one sink: what its receiver has, in `STATE/sinks/NAME.json`, replaced by rename.
//!
//! One that cannot be used is named and kept aside, and the sink begins at the oldest line: told twice, never left out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Sink, folder, private};
use crate::journal::{Followers, Positions};

/// The version of the file.
const VERSION: u32 = 1;

/// A cursor of 1024 slots is far smaller.
const LONGEST: u64 = 1 << 20;

/// Reads and replaces the file.
#[derive(Clone, Debug)]
pub(super) struct CursorFile {
    sink: Sink,
    path: PathBuf,
    /// Held while the file is replaced: a follower that ends may leave one saving behind that has begun.
    saving: Arc<Mutex<()>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u32,
    sink: String,
    slots: Positions,
}

impl CursorFile {
    pub(super) fn new(state: &Path, sink: Sink) -> Self {
        Self { sink, path: folder(state).join(format!("{}.json", sink.as_str())), saving: Arc::default() }
    }

    /// The positions that were kept; none where there is no file, or none that can be used.
    pub(super) fn load(&self) -> Positions {
        match self.read() {
            Ok(positions) => positions,
            Err(why) => {
                let aside = self.path.with_extension("json.bad");
                let kept = match fs::rename(&self.path, &aside) {
                    Ok(()) => format!("it is kept as {}", aside.display()),
                    Err(error) => format!("it cannot be kept aside: {error}"),
                };
                let path = self.path.display();
                tracing::error!("{path} {why}: {} begins with the oldest record; {kept}", self.sink.as_str());
                Positions::new()
            }
        }
    }

    fn read(&self) -> Result<Positions, String> {
        let file = match private(OpenOptions::new().read(true)).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Positions::new()),
            Err(error) => return Err(format!("cannot be opened ({error})")),
        };
        let data = file.metadata().map_err(|error| format!("cannot be looked at ({error})"))?;
        if !data.is_file() {
            return Err("is no file".into());
        }
        if data.uid() != rustix::process::geteuid().as_raw() || data.mode() & 0o022 != 0 {
            return Err("may be written by others".into());
        }
        let mut text = String::new();
        let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read ({error})"))?;
        if length as u64 > LONGEST {
            return Err("is too long for a cursor".into());
        }
        // The version alone first: what another version holds is not known here.
        match serde_json::from_str::<serde_json::Value>(&text).ok().as_ref().and_then(|value| value.get("v")) {
            Some(version) if *version == VERSION => {}
            Some(version) => return Err(format!("is of version {version} and not {VERSION}")),
            None => return Err("is no cursor".into()),
        }
        let Written { v: _, sink, slots } = serde_json::from_str(&text).map_err(|error| format!("is no cursor ({error})"))?;
        if sink != self.sink.as_str() {
            return Err("is the cursor of another sink".into());
        }
        Ok(slots)
    }

    /// Replaces the file. After an error the old one still stands.
    pub(super) fn save(&self, positions: &Positions) -> io::Result<()> {
        let written = Written { v: VERSION, sink: self.sink.as_str().to_owned(), slots: positions.clone() };
        let next = self.path.with_extension("json.new");
        let _saving = self.saving.lock();
        match fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&next)?;
        file.write_all(serde_json::to_string(&written)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

/// What sinks have, as their cursors say: for whoever removes records.
#[derive(Clone, Debug)]
pub struct Cursors {
    files: Vec<CursorFile>,
}

impl Cursors {
    /// The cursors of these sinks in a state folder.
    pub fn new(state: &Path, sinks: &[Sink]) -> Self {
        Self { files: sinks.iter().map(|sink| CursorFile::new(state, *sink)).collect() }
    }
}

impl Followers for Cursors {
    /// One without a cursor that can be read has nothing.
    fn behind(&self, slot: &str, seq: u64) -> Vec<String> {
        let has = |file: &CursorFile| file.read().ok().and_then(|positions| Some(positions.get(slot)?.seq));
        let behind = self.files.iter().filter(|file| has(file).is_none_or(|has| has < seq));
        behind.map(|file| file.sink.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::journal::Position;

    fn cursor(state: &Path) -> CursorFile {
        fs::create_dir_all(folder(state)).unwrap();
        CursorFile::new(state, Sink::Webhook)
    }

    fn positions() -> Positions {
        [("proxy-1".to_owned(), Position { segment: 3, offset: 1234, seq: 567 })].into()
    }

    #[test]
    fn a_cursor_reads_back_as_saved_and_is_private() {
        let state = tempfile::tempdir().unwrap();
        let cursor = cursor(state.path());
        assert_eq!(cursor.load(), Positions::new());
        cursor.save(&Positions::new()).unwrap();
        cursor.save(&positions()).unwrap();
        assert_eq!(cursor.load(), positions());
        assert_eq!(fs::metadata(&cursor.path).unwrap().mode() & 0o7777, 0o600);
        let text = r#"{"v":1,"sink":"webhook","slots":{"proxy-1":{"segment":3,"offset":1234,"seq":567}}}"#;
        assert_eq!(fs::read_to_string(&cursor.path).unwrap(), text);
    }

    #[test]
    fn a_sink_is_behind_what_its_cursor_is_not_known_to_have_passed() {
        let state = tempfile::tempdir().unwrap();
        cursor(state.path()).save(&positions()).unwrap();
        fs::write(folder(state.path()).join("ocsf.json"), "{").unwrap();
        let cursors = Cursors::new(state.path(), &[Sink::Webhook, Sink::Ocsf, Sink::Stdout]);
        for (slot, seq, wanted) in [
            ("proxy-1", 567, vec!["ocsf", "stdout"]),
            ("proxy-1", 568, vec!["webhook", "ocsf", "stdout"]),
            ("proxy-2", 1, vec!["webhook", "ocsf", "stdout"]),
        ] {
            assert_eq!(cursors.behind(slot, seq), wanted, "{slot} {seq}");
        }
        assert!(folder(state.path()).join("ocsf.json").exists());
    }

    #[test]
    fn what_is_no_cursor_of_ours_is_kept_aside_and_nothing_is_left_out() {
        let slots = r#""slots":{"proxy-1":{"segment":3,"offset":1234,"seq":567}}"#;
        let cases = [
            (String::new(), "is no cursor"),
            ("{".into(), "is no cursor"),
            ("[]".into(), "is no cursor"),
            (format!("{{\"v\":2,\"sink\":\"webhook\",{slots}}}"), "is of version 2 and not 1"),
            (format!("{{\"v\":1,\"sink\":\"ocsf\",{slots}}}"), "is the cursor of another sink"),
            (format!("{{\"v\":1,\"sink\":\"webhook\",\"more\":1,{slots}}}"), "is no cursor (unknown field `more`"),
            (r#"{"v":1,"sink":"webhook","slots":{"proxy-1":{"segment":-3,"offset":0,"seq":0}}}"#.into(), "is no cursor (invalid value"),
            (" ".repeat(2 << 20), "is too long for a cursor"),
        ];
        for (text, why) in cases {
            let state = tempfile::tempdir().unwrap();
            let cursor = cursor(state.path());
            fs::write(&cursor.path, &text).unwrap();
            fs::set_permissions(&cursor.path, fs::Permissions::from_mode(0o600)).unwrap();
            let said = cursor.read().unwrap_err();
            assert!(said.starts_with(why), "{said}");
            assert_eq!(cursor.load(), Positions::new());
            assert_eq!(fs::read_to_string(folder(state.path()).join("webhook.json.bad")).unwrap(), text);
            assert!(!cursor.path.exists());
        }
    }

    #[test]
    fn what_others_may_write_or_what_is_no_file_is_no_cursor() {
        let state = tempfile::tempdir().unwrap();
        let cursor = cursor(state.path());
        cursor.save(&positions()).unwrap();
        fs::set_permissions(&cursor.path, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(cursor.read().unwrap_err(), "may be written by others");
        fs::remove_file(&cursor.path).unwrap();
        fs::create_dir(&cursor.path).unwrap();
        assert_eq!(cursor.read().unwrap_err(), "is no file");
        assert_eq!(cursor.load(), Positions::new());
        cursor.save(&positions()).unwrap();
        assert_eq!(cursor.load(), positions());
        fs::remove_file(&cursor.path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &cursor.path).unwrap();
        assert!(cursor.read().unwrap_err().starts_with("cannot be opened"));
    }
}
