//! Why a query pattern does not load: what was found, what was wanted, and the fix.

/// Why a query pattern does not load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: wanted {}; {}", self.found(), self.wanted(), self.fix())]
pub enum QueryPatternFault {
    /// An empty name.
    NoName,
    /// A name longer than 128 octets.
    NameTooLong,
    /// A name with brackets.
    Array,
    /// Another character that names are not read with everywhere.
    Name,
    /// An empty list.
    NoValues,
    /// More than 256 values.
    TooManyValues,
    /// An empty value.
    EmptyValue,
    /// A value longer than 1024 octets.
    ValueTooLong,
    /// `*` in a value.
    Star,
    /// `%` in a value.
    Percent,
    /// `&` or `;` in a value.
    Separator,
    /// A control character in a value.
    Control,
}

impl QueryPatternFault {
    /// What stands there.
    pub fn found(&self) -> &'static str {
        match self {
            Self::NoName => "an empty name",
            Self::NameTooLong => "a name of more than 128 characters",
            Self::Array => "a name with brackets, which only some servers read as a list",
            Self::Name => "a name with a character that servers read in different ways",
            Self::NoValues => "no values",
            Self::TooManyValues => "more than 256 values",
            Self::EmptyValue => "an empty value, which some servers drop",
            Self::ValueTooLong => "a value of more than 1024 characters",
            Self::Star => "a value with a `*`, which is no wildcard here",
            Self::Percent => "a value with a `%`",
            Self::Separator => "a value with `&` or `;`, which some servers take for its end however it is written",
            Self::Control => "a value with a control character",
        }
    }

    /// What may stand there.
    pub fn wanted(&self) -> &'static str {
        match self {
            Self::NoName | Self::Name => "a name of letters, digits and `-._~$@!:`, as it reads decoded",
            Self::NameTooLong => "at most 128 characters",
            Self::Array => "a name without brackets",
            Self::NoValues => "the values the name may have",
            Self::TooManyValues => "at most 256 values",
            Self::EmptyValue => "a value of at least one character",
            Self::ValueTooLong => "at most 1024 characters",
            Self::Star => "values compared as they stand",
            Self::Percent => "values as they read decoded",
            Self::Separator | Self::Control => "text that every server reads in the same way",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::NoName => "write the parameter's name",
            Self::NameTooLong | Self::ValueTooLong => "leave the query out of the rule, or match another parameter",
            Self::Array => "match another parameter; in hold and block rules the name alone also covers its lists",
            Self::Name => "match another parameter",
            Self::NoValues => "list the values, or leave the name out of `query`",
            Self::TooManyValues => "leave the name out of `query`, or write several rules",
            Self::EmptyValue => "list the values that are meant, or leave the name out of `query`",
            Self::Star => "list the values, or leave the name out of `query` if any will do",
            Self::Percent => "write the character that the escape stands for",
            Self::Separator | Self::Control => "match another parameter",
        }
    }
}
