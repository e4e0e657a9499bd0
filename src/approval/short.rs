//! Short ids, which people type.

/// Digits and letters that cannot be taken for one another: Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Six characters of 30 of the bits.
pub(super) fn short_id(bits: u32) -> String {
    (0..6).map(|place| char::from(ALPHABET[(bits >> (place * 5)) as usize & 31])).collect()
}

/// An id as somebody may have typed it, as it is spelt.
pub(super) fn typed(id: &str) -> String {
    let alike = |char: char| match char.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    id.trim().chars().map(alike).collect()
}

#[cfg(test)]
mod tests {
    use super::{short_id, typed};

    #[test]
    fn an_id_is_read_as_people_type_it() {
        for (typed_so, id) in [(" K3oIL9 ", "k30119"), ("abcdef", "abcdef")] {
            assert_eq!(typed(typed_so), id);
        }
        let id = short_id(u32::MAX);
        assert_eq!((id.as_str(), typed(&id)), ("zzzzzz", id.clone()));
    }
}
