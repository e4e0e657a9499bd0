//! What speaks against a destination, in words a person understands at a glance.

/// Labels shorter than this are words, whatever they are made of.
const LONG: usize = 12;

/// Whether a label looks as if nobody had thought of it: long, and letters and digits that alternate, or hardly a vowel. So look identifiers,
/// and data carried out in names.
pub(super) fn is_random(label: &str) -> bool {
    if label.len() < LONG || label.starts_with("xn--") {
        return false;
    }
    let letters: Vec<char> = label.chars().filter(|char| *char != '-').collect();
    let turns = letters.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
    let words = letters.iter().filter(|char| char.is_ascii_alphabetic()).count();
    let vowels = letters.iter().filter(|char| "aeiouy".contains(**char)).count();
    turns > 3 || words >= LONG && vowels * 6 < words
}

#[cfg(test)]
mod tests {
    use super::is_random;

    #[test]
    fn identifiers_and_data_look_random_and_words_do_not() {
        let rows = [
            ("nbswy3dpeb3w64tmmq", true),
            ("550e8400-e29b-41d4-a716-446655440000", true),
            ("7f83b1657ff1fc53b92dc18148a1d65d", true),
            ("kqzxwvbnmrtplk", true),
            ("productionresultssa0", false),
            ("objects-origin-eu1", false),
            ("raw", false),
            ("a1b2c3", false),
            ("xn--80ak6aa92e12b3c4", false),
            ("ec2-54-12-33-101", false),
        ];
        for (label, random) in rows {
            assert_eq!(is_random(label), random, "{label}");
        }
    }
}
