//! The first head of a connection, by its lines.

/// A head as anybody would read it.
#[derive(Debug)]
pub struct Plain {
    pub method: String,
    pub target: String,
    pub version: String,
    fields: Vec<(String, String)>,
}

impl Plain {
    /// Empty lines in front are passed over (RFC 9112 section 2.2); a line ends at LF, with or without CR.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).skip_while(|line| line.is_empty());
        let words: Vec<&str> = lines.next()?.split(' ').collect();
        let [method, target, version] = words[..] else { return None };
        let mut fields = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Some(Self { method: method.to_owned(), target: target.to_owned(), version: version.to_owned(), fields })
    }

    /// Every value of a field.
    pub fn fields(&self, wanted: &str) -> Vec<&str> {
        self.fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    }

    /// Host and port as the target writes them.
    pub fn authority(&self) -> &str {
        let rest = self.target.split_once("://").map_or(self.target.as_str(), |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }
}
