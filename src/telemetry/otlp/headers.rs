//! The file of headers that go along with every export: credentials, so nobody but its owner may read it.

use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::private::exposed;

/// More is no file of headers.
const LONGEST: u64 = 64 << 10;

/// Headers that the transport sets itself.
const OURS: [&str; 8] = ["connection", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade", "user-agent"];

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadHeaders {
    /// It cannot be read.
    #[error("{path}: {error}; write lines of `name: value`", path = .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// Others than its owner can read it.
    #[error("{path} can be read by others than its owner; chmod 600 {path}", path = .0.display())]
    Open(PathBuf),
    /// A line is no header. The line is not shown, as it may be a secret.
    #[error("{path}:{line}: {wrong}; write `name: value`", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        wrong: &'static str,
    },
}

/// Reads lines of `name: value`; empty lines and those that begin with `#` say nothing.
pub fn read(path: &Path) -> Result<HeaderMap, BadHeaders> {
    let unreadable = |error: String| BadHeaders::Unreadable { path: path.to_owned(), error };
    let data = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if exposed(&data).is_some() {
        return Err(BadHeaders::Open(path.to_owned()));
    }
    if !data.is_file() || data.len() > LONGEST {
        return Err(unreadable("it is no file of at most 64 KiB".into()));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let (name, value) = header(line).map_err(|wrong| BadHeaders::Line { path: path.to_owned(), line: at + 1, wrong })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "a name that no header has")?;
    if OURS.contains(&name.as_str()) || name.as_str().starts_with("grpc-") {
        return Err("a header that exeat sets itself");
    }
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| "a value that no header has")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, Result<HeaderMap, String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let got = read(&path).map_err(|error| error.to_string().replace(path.to_str().unwrap(), "F"));
        (folder, got)
    }

    #[test]
    fn a_header_a_line_and_none_of_them_shown() {
        let (_folder, headers) = written("# for the collector\nAuthorization: Bearer a:b\n\nx-scope:  one \n", 0o600);
        let headers = headers.unwrap();
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(pairs, [("authorization", "Bearer a:b"), ("x-scope", "one")]);
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    #[test]
    fn what_is_no_file_of_headers_is_told_without_its_text() {
        let table = [
            ("a: b", 0o640, "F can be read by others than its owner; chmod 600 F"),
            ("a: b\nsecret", 0o600, "F:2: a line without a colon; write `name: value`"),
            ("sec ret: b", 0o600, "F:1: a name that no header has; write `name: value`"),
            (": b", 0o600, "F:1: a name that no header has; write `name: value`"),
            ("a: \u{1}", 0o600, "F:1: a value that no header has; write `name: value`"),
            ("Host: b", 0o600, "F:1: a header that exeat sets itself; write `name: value`"),
            ("grpc-timeout: 1S", 0o600, "F:1: a header that exeat sets itself; write `name: value`"),
        ];
        for (text, mode, wanted) in table {
            assert_eq!(written(text, mode).1.unwrap_err(), wanted, "{text}");
        }
        assert!(written(&"a: b\n".repeat(20_000), 0o600).1.unwrap_err().contains("64 KiB"));
        assert!(read(Path::new("/nowhere/headers")).is_err());
    }
}
