//! One label with wildcards in it: `*`, `?`, `[a-z0-9]` sets and `{eu,us}`. Matched on A-labels, never across a dot.

use super::fault::PatternFault;

/// Bounds what braces multiply to.
const ALTERNATIVES_MAX: usize = 64;

/// A label with wildcards: any of its alternatives matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WildLabel {
    alternatives: Box<[Box<[Token]>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    Set(Set),
}

/// Bytes `a-z`, `0-9` and `-`, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Set(u64);

impl WildLabel {
    /// Reads one label; upper case must be folded before.
    pub(super) fn parse(label: &str) -> Result<Self, PatternFault> {
        if label.contains("**") {
            return Err(PatternFault::DoubleStar);
        }
        let spelled = expand(label)?;
        let alternatives = spelled.iter().map(|text| tokens(text).map(Vec::into_boxed_slice)).collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }

    pub(super) fn matches(&self, label: &str) -> bool {
        self.alternatives.iter().any(|tokens| glob(tokens, label.as_bytes()))
    }

    /// A label that it matches for each alternative.
    pub(super) fn samples(&self) -> Vec<String> {
        self.alternatives.iter().map(|tokens| tokens.iter().filter_map(|token| token.sample()).map(char::from).collect()).collect()
    }

    /// An alternative is stars and question marks only.
    pub(super) fn says_nothing(&self) -> bool {
        let nothing = |token: &Token| matches!(token, Token::One | Token::Any);
        self.alternatives.iter().any(|tokens| tokens.iter().all(nothing))
    }
}

impl Token {
    /// A byte it takes; `*` may take none, and takes one so that no label is empty.
    fn sample(self) -> Option<u8> {
        match self {
            Token::Byte(byte) => Some(byte),
            Token::One | Token::Any => Some(b'x'),
            Token::Set(set) => (b'0'..=b'9').chain(b'a'..=b'z').chain([b'-']).find(|byte| set.holds(*byte)),
        }
    }

    fn takes(self, byte: u8) -> bool {
        match self {
            Token::Byte(wanted) => wanted == byte,
            Token::One => true,
            Token::Any => false,
            Token::Set(set) => set.holds(byte),
        }
    }
}

impl Set {
    fn bit(byte: u8) -> Option<u64> {
        match byte {
            b'a'..=b'z' => Some(1 << (byte - b'a')),
            b'0'..=b'9' => Some(1 << (byte - b'0' + 26)),
            b'-' => Some(1 << 36),
            _ => None,
        }
    }

    fn holds(self, byte: u8) -> bool {
        Self::bit(byte).is_some_and(|bit| self.0 & bit != 0)
    }

    /// What stands between the brackets: characters and ranges within `a-z` or `0-9`; a hyphen first or last is itself.
    fn parse(text: &[u8]) -> Result<Self, PatternFault> {
        let mut set = Self::default();
        let mut rest = text;
        while let [first, after @ ..] = rest {
            let last = match after {
                [b'-', last, left @ ..] if *first != b'-' => {
                    rest = left;
                    *last
                }
                _ => {
                    rest = after;
                    *first
                }
            };
            let one_kind = first.is_ascii_digit() == last.is_ascii_digit() && (*first == last || last != b'-');
            if *first > last || !one_kind {
                return Err(PatternFault::Set);
            }
            for byte in *first..=last {
                set.0 |= Self::bit(byte).ok_or(PatternFault::Set)?;
            }
        }
        if set == Self::default() { Err(PatternFault::Set) } else { Ok(set) }
    }
}

/// Every text the braces stand for.
fn expand(label: &str) -> Result<Vec<String>, PatternFault> {
    let mut spelled = vec![String::new()];
    let mut rest = label;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, left) = after.split_once('}').ok_or(PatternFault::Braces)?;
        let options: Vec<&str> = inside.split(',').collect();
        // A set that a brace cuts would be another set in each choice.
        let cut = |text: &str| text.matches('[').count() != text.matches(']').count();
        let foreign = before.contains(['}', ',']) || inside.contains('{') || cut(before);
        if foreign || options.iter().any(|option| option.is_empty() || cut(option)) {
            return Err(PatternFault::Braces);
        }
        if spelled.len() * options.len() > ALTERNATIVES_MAX {
            return Err(PatternFault::TooMany);
        }
        spelled = spelled.iter().flat_map(|head| options.iter().map(move |option| format!("{head}{before}{option}"))).collect();
        rest = left;
    }
    if rest.contains(['}', ',']) {
        return Err(PatternFault::Braces);
    }
    spelled.iter_mut().for_each(|text| text.push_str(rest));
    Ok(spelled)
}

fn tokens(text: &str) -> Result<Vec<Token>, PatternFault> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        tokens.push(match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => Token::Byte(*byte),
            b'?' => Token::One,
            // Braces may put two stars side by side; they match as one.
            b'*' if tokens.last() == Some(&Token::Any) => continue,
            b'*' => Token::Any,
            b'[' => {
                let end = after.iter().position(|byte| *byte == b']').ok_or(PatternFault::Set)?;
                rest = &after[end + 1..];
                Token::Set(Set::parse(&after[..end])?)
            }
            b']' => return Err(PatternFault::Set),
            _ => return Err(PatternFault::Character),
        });
    }
    Ok(tokens)
}

/// Greedy match that goes back to the last star only: both are at most 63 long or bounded by the pattern's text, so the work is bounded by their product.
fn glob(tokens: &[Token], text: &[u8]) -> bool {
    let (mut token, mut byte) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while byte < text.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                star = Some((token, byte));
                token += 1;
            }
            Some(wanted) if wanted.takes(text[byte]) => {
                token += 1;
                byte += 1;
            }
            Some(_) | None => {
                let Some((at, eaten)) = star else { return false };
                star = Some((at, eaten + 1));
                token = at + 1;
                byte = eaten + 1;
            }
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Any)
}
