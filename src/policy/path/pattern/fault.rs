//! Why a path pattern does not load: what was found, what was wanted, and the fix.

use crate::policy::path::AmbiguousPath;

/// Why a path pattern does not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: wanted {}; {}", self.found(), self.wanted(), self.fix())]
pub enum PathPatternFault {
    /// More characters or segments than a pattern may have.
    TooLong,
    /// No slash in front.
    NotAbsolute,
    /// A whole URL.
    Url,
    /// `?`, a query or a wildcard elsewhere.
    QuestionMark,
    /// `#`, which no request carries.
    Fragment,
    /// `[…]`.
    Set,
    /// `{…}`, `<…>`: choices or placeholders elsewhere.
    Braces,
    /// `**` beside other characters of its segment.
    DoubleStar,
    /// `**` right after `**`.
    RepeatedStars,
    /// A segment `.*`, which regular expressions would read as anything.
    Regex,
    /// No path of this spelling is ever passed on.
    Ambiguous(AmbiguousPath),
    /// Another spelling of what is matched.
    NotNormal {
        /// What it normalises to.
        normal: Box<str>,
    },
}

impl PathPatternFault {
    /// What stands there.
    pub fn found(&self) -> String {
        match self {
            Self::TooLong => "a pattern of more than 1024 characters or 64 segments".to_owned(),
            Self::NotAbsolute => "a path without a slash in front".to_owned(),
            Self::Url => "more than a path".to_owned(),
            Self::QuestionMark => "a `?`".to_owned(),
            Self::Fragment => "a `#`".to_owned(),
            Self::Set => "a `[` or `]`".to_owned(),
            Self::Braces => "a brace or angle bracket".to_owned(),
            Self::DoubleStar => "`**` that is not a whole segment".to_owned(),
            Self::RepeatedStars => "`**` twice in a row".to_owned(),
            Self::Regex => "a segment `.*` or `.+`, which is no regular expression here".to_owned(),
            Self::Ambiguous(why) => format!("a path that is never passed on ({why})"),
            Self::NotNormal { normal: _ } => "a path that is not in normal form".to_owned(),
        }
    }

    /// What may stand there.
    pub fn wanted(&self) -> &'static str {
        match self {
            Self::TooLong => "at most 1024 characters and 64 segments",
            Self::NotAbsolute => "a path that begins with `/`",
            Self::Url => "a path alone",
            Self::QuestionMark => "a path without its query; `*` is the wildcard inside a segment",
            Self::Fragment => "a path without a fragment: none is ever sent",
            Self::Set | Self::Braces => "text with `*` inside a segment and `**` across them",
            Self::DoubleStar | Self::RepeatedStars => "`**` alone between two slashes, or at the end behind one",
            Self::Regex => "`*` for anything inside a segment, `**` for any number of segments",
            Self::Ambiguous(_) => "a path that every server reads in the same way",
            Self::NotNormal { normal: _ } => "the normal form, which is what is matched",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::TooLong => "write a list of shorter patterns".to_owned(),
            Self::NotAbsolute => "begin it with `/`; `/**` is every path".to_owned(),
            Self::Url => "leave out scheme and host; hosts stand in `host`".to_owned(),
            Self::QuestionMark => "write the query as `query = { name = [\"value\"] }`, and a wildcard as `*`".to_owned(),
            Self::Fragment => "leave it out".to_owned(),
            Self::Set => "list the paths one by one; write the character itself as `%5B` or `%5D`".to_owned(),
            Self::Braces => "list the paths one by one, or write `*` for a part that varies".to_owned(),
            Self::DoubleStar => "write `/**/` for any number of segments, one `*` inside a segment".to_owned(),
            Self::RepeatedStars => "write it once".to_owned(),
            Self::Regex => "write `*` or `**`".to_owned(),
            Self::Ambiguous(AmbiguousPath::DroppedEnd) => "end the segment in something else, or in `*` alone".to_owned(),
            Self::Ambiguous(_) => "write the path as it is passed on".to_owned(),
            Self::NotNormal { normal } => format!("write `{normal}`"),
        }
    }
}
