//! Request lines fit to be written down or shown: what may be a secret in them is masked.

use crate::policy::attempt::RequestLine;

/// The registry's longest method has 17 characters; what is longer would only fill records.
pub const LONGEST_METHOD: usize = 32;

/// A path segment longer than this may be a secret.
const LONGEST_SEGMENT: usize = 20;

/// Of a path no more is written down.
const LONGEST_PATH: usize = 512;

/// A request line fit to be written down or shown: a long method and long path segments are masked, a long path is cut.
pub fn masked(line: &RequestLine) -> RequestLine {
    let masked = line.path.split('/').map(|segment| if segment.len() > LONGEST_SEGMENT { "***" } else { segment });
    let mut path = String::new();
    for (at, segment) in masked.enumerate() {
        if at > 0 {
            path.push('/');
        }
        if path.len() + segment.len() > LONGEST_PATH {
            path.push_str("...");
            break;
        }
        path.push_str(segment);
    }
    let method = if line.method.len() > LONGEST_METHOD { "***".into() } else { line.method.clone() };
    RequestLine { method, path: path.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_in_a_path_is_masked_and_a_long_path_is_cut() {
        let long = "/short".repeat(200);
        let table = [
            ("/a/b", "/a/b"),
            ("/bot123456:AAAAAAAAAAAAAAAAAAAAAAAAAA/send", "/***/send"),
            ("", ""),
            ("/", "/"),
            (long.as_str(), &format!("{}/...", "/short".repeat(85))),
        ];
        for (path, wanted) in table {
            let line = RequestLine { method: "GET".into(), path: path.into() };
            assert_eq!(masked(&line).path.as_ref(), wanted, "{path}");
        }
    }
}
