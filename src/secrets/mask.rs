//! Values made stars in what passes, of the same length, wherever the pieces of it end.
//!
//! Only an end that could begin a value is held back, and the end of everything holds nothing back.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::forms::{SHORTEST, forms};
use super::{Secret, Unavailable};

const STAR: u8 = b'*';

/// What is masked: values in all their spellings.
pub struct Masker {
    forms: Vec<Zeroizing<Vec<u8>>>,
    find: AhoCorasick,
}

/// One stream that is masked.
#[derive(Debug)]
pub struct Masking {
    masker: Arc<Masker>,
    /// As it came, without stars.
    held: Zeroizing<Vec<u8>>,
    /// Which bytes of it are part of a value already.
    covered: Vec<bool>,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker(***)")
    }
}

impl Masker {
    /// Masks these. One that is too short would mask everything.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, Unavailable> {
        let mut all = Vec::new();
        for secret in secrets {
            if secret.bytes().len() < SHORTEST {
                return Err(Unavailable::TooShort);
            }
            all.extend(forms(secret.bytes()));
        }
        let find = AhoCorasick::builder().match_kind(MatchKind::Standard).build(all.iter().map(|form| form.as_slice()));
        Ok(Self { find: find.map_err(|_too_many| Unavailable::TooLong)?, forms: all })
    }

    /// A text that stands alone; `None` where no value is in it.
    pub fn whole(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut covered = vec![false; text.len()];
        self.cover(text, &mut covered);
        covered.contains(&true).then(|| starred(text, &covered))
    }

    fn cover(&self, text: &[u8], covered: &mut [bool]) {
        for found in self.find.find_overlapping_iter(text) {
            covered[found.range()].fill(true);
        }
    }

    /// How long an end of the text is with which a value could begin.
    fn beginning(&self, text: &[u8]) -> usize {
        let longest = |form: &[u8]| {
            let most = text.len().min(form.len() - 1);
            (1..=most).rev().find(|length| text.ends_with(&form[..*length])).unwrap_or(0)
        };
        self.forms.iter().map(|form| longest(form)).max().unwrap_or(0)
    }
}

impl Masking {
    /// A stream of which nothing has come.
    pub fn new(masker: Arc<Masker>) -> Self {
        Self { masker, held: Zeroizing::default(), covered: Vec::new() }
    }

    /// Takes the next piece, and gives what of all that came may pass.
    pub fn pass(&mut self, piece: &[u8]) -> Bytes {
        let text = Zeroizing::new([self.held.as_slice(), piece].concat());
        let mut covered = std::mem::take(&mut self.covered);
        covered.resize(text.len(), false);
        self.masker.cover(&text, &mut covered);
        let passes = text.len() - self.masker.beginning(&text);
        self.covered = covered.split_off(passes);
        self.held = Zeroizing::new(text[passes..].to_vec());
        starred(&text[..passes], &covered).into()
    }

    /// Nothing more comes: the rest.
    pub fn end(&mut self) -> Bytes {
        let rest = starred(&self.held, &self.covered).into();
        self.held.clear();
        self.covered.clear();
        rest
    }

    /// So many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What is masked.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }
}

fn starred(text: &[u8], covered: &[bool]) -> Vec<u8> {
    text.iter().zip(covered).map(|(byte, covered)| if *covered { STAR } else { *byte }).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masker(values: &[&[u8]]) -> Arc<Masker> {
        let secrets: Vec<Secret> = values.iter().map(|value| Secret::read(value.to_vec()).unwrap()).collect();
        Arc::new(Masker::new(&secrets).unwrap())
    }

    #[test]
    fn a_value_becomes_stars_of_its_length_in_each_spelling() {
        let masker = masker(&[b"hunter2hunter2"]);
        for (text, wanted) in [
            ("a hunter2hunter2 b", "a ************** b"),
            ("hunter2hunter2hunter2", "*********************"),
            ("68756e7465723268756e74657232", "****************************"),
            ("\"aHVudGVyMmh1bnRlcjI=\"", "\"******************I=\""),
        ] {
            assert_eq!(masker.whole(text.as_bytes()).unwrap(), wanted.as_bytes(), "{text}");
        }
        assert_eq!(masker.whole(b"hunter2hunter"), None);
    }

    #[test]
    fn nothing_is_held_back_but_what_could_begin_a_value() {
        let mut masking = Masking::new(masker(&[b"hunter2-password"]));
        for (piece, passed) in [
            ("data: x\n\n", "data: x\n\n"),
            ("data: hun", "data: "),
            ("t\n\n", "hunt\n\n"),
            ("hunter2-passwor", ""),
            ("d", "****************"),
        ] {
            assert_eq!(masking.pass(piece.as_bytes()), passed, "{piece}");
        }
        assert_eq!(masking.end(), "");
        assert_eq!(masking.pass(b"hunter2"), "");
        assert_eq!((masking.held(), masking.end(), masking.held()), (7, Bytes::from("hunter2"), 0));
    }

    #[test]
    fn a_value_too_short_is_none() {
        let short = Secret::read(b"1234567".to_vec()).unwrap();
        assert_eq!(Masker::new([&short]).unwrap_err(), Unavailable::TooShort);
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_it_is_masked_as_if_it_were_whole(
            words in prop::collection::vec(prop::sample::select(vec!["abcabcabcab", "bcabcabc", "abcabc", "a", "c", "61626361", "Y2FiY2F", "%61", "x"]), 0..12),
            cuts in prop::collection::vec(0_usize..120, 0..10),
        ) {
            let masker = masker(&[b"abcabcabcab", b"bcabcabc"]);
            let text = words.concat().into_bytes();
            let whole = masker.whole(&text).unwrap_or_else(|| text.clone());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut masking = Masking::new(masker);
            let mut passed = Vec::new();
            for ends in cuts.windows(2) {
                passed.extend(masking.pass(&text[ends[0]..ends[1]]));
            }
            passed.extend(masking.end());
            prop_assert_eq!(passed, whole);
        }
    }
}
