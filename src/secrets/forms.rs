//! The ways a value is spelled where it is repeated: as it is, in base 64, percent-encoded, in hexadecimal and as JSON writes it.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// The shortest value that is looked for or masked: a shorter one stands in everything.
pub(super) const SHORTEST: usize = 8;

/// Every spelling, each once, the value itself first.
pub(super) fn forms(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![value.to_vec()];
    for before in 0..3 {
        forms.extend([&BASE64_NOPAD, &BASE64URL_NOPAD].map(|encoding| base64_within(encoding, before, value)));
    }
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        forms.push(percent(value, digits, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
        forms.push(percent(value, digits, |byte| byte.is_ascii_alphanumeric() || b"-._~!*'()".contains(&byte)));
        forms.push(percent(value, digits, |_| false));
    }
    forms.extend([HEXLOWER.encode(value).into_bytes(), HEXUPPER.encode(value).into_bytes()]);
    forms.extend([false, true].map(|slashes| json(value, slashes)));
    let mut kept: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(forms.len());
    for form in forms.into_iter().map(Zeroizing::new) {
        if !kept.contains(&form) {
            kept.push(form);
        }
    }
    kept
}

/// The letters that are the value's alone where `before` bytes of something else stand before it, modulo 3.
fn base64_within(encoding: &data_encoding::Encoding, before: usize, value: &[u8]) -> Vec<u8> {
    let padded = Zeroizing::new([&vec![0; before], value, &[0; 2]].concat());
    let letters = Zeroizing::new(encoding.encode(&padded));
    let (first, behind) = ((8 * before).div_ceil(6), 8 * (before + value.len()) / 6);
    letters.as_bytes()[first..behind].to_vec()
}

fn percent(value: &[u8], digits: &[u8; 16], plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let encoded = |byte: u8| {
        if plain(byte) { vec![byte] } else { vec![b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]] }
    };
    value.iter().flat_map(|byte| encoded(*byte)).collect()
}

/// RFC 8259 section 7; some writers escape `/` as well.
fn json(value: &[u8], slashes: bool) -> Vec<u8> {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => vec![b'\\', byte],
        b'/' if slashes => vec![b'\\', byte],
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        _ => vec![byte],
    };
    value.iter().flat_map(|byte| escaped(*byte)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_of_a_value_is_found_in_what_spells_it() {
        let value = b"s3cr/t+\"v4lue?~!";
        let found = |text: &[u8]| forms(value).iter().any(|form| text.windows(form.len()).any(|window| window == form.as_slice()));
        for before in ["", "a", "ab", "abc", "user:"] {
            for behind in ["", "x", "xy", "\n"] {
                let whole = [before.as_bytes(), value, behind.as_bytes()].concat();
                assert!(found(data_encoding::BASE64.encode(&whole).as_bytes()), "{before} {behind}");
                assert!(found(data_encoding::BASE64URL.encode(&whole).as_bytes()), "{before} {behind}");
            }
        }
        for text in [
            "s3cr%2Ft%2B%22v4lue%3F~!",
            "s3cr%2ft%2b%22v4lue%3f~%21",
            "%73%33%63%72%2F%74%2B%22%76%34%6C%75%65%3F%7E%21",
            "733363722f742b2276346c75653f7e21",
            "733363722F742B2276346C75653F7E21",
            r#"s3cr/t+\"v4lue?~!"#,
            r#"s3cr\/t+\"v4lue?~!"#,
        ] {
            assert!(found(text.as_bytes()), "{text}");
        }
        assert!(!found(b"s3cr/t+ v4lue?~!"));
    }

    #[test]
    fn a_value_of_letters_alone_has_no_form_twice() {
        let forms = forms(b"abcdefgh");
        let mut sorted: Vec<_> = forms.iter().map(|form| String::from_utf8(form.to_vec()).unwrap()).collect();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), forms.len());
    }
}
