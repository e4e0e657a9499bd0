//! Whether one label of a name mixes scripts, as look-alike names do.

/// The scripts told apart. What is in no range counts as one script of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
    Indic,
    Thai,
    Georgian,
    Cherokee,
    /// Han, kana, bopomofo and Hangul stand together in ordinary names.
    EastAsian,
    Other,
}

/// Whether any label of a name in Unicode form holds letters of more than one script.
pub(super) fn mixes(name: &str) -> bool {
    name.split('.').any(|label| {
        let mut scripts = label.chars().filter(|char| char.is_alphabetic()).map(script);
        scripts.next().is_some_and(|first| scripts.any(|next| next != first))
    })
}

fn script(char: char) -> Script {
    match u32::from(char) {
        0x41..=0x5a | 0x61..=0x7a | 0xaa | 0xba | 0xc0..=0x24f | 0x1e00..=0x1eff => Script::Latin,
        0x370..=0x3ff | 0x1f00..=0x1fff => Script::Greek,
        0x400..=0x52f | 0x1c80..=0x1c8f | 0x2de0..=0x2dff | 0xa640..=0xa69f => Script::Cyrillic,
        0x530..=0x58f => Script::Armenian,
        0x590..=0x5ff => Script::Hebrew,
        0x600..=0x6ff | 0x750..=0x77f | 0x8a0..=0x8ff => Script::Arabic,
        0x900..=0xdff => Script::Indic,
        0xe00..=0xe7f => Script::Thai,
        0x10a0..=0x10ff | 0x1c90..=0x1cbf | 0x2d00..=0x2d2f => Script::Georgian,
        0x13a0..=0x13ff | 0xab70..=0xabbf => Script::Cherokee,
        0x1100..=0x11ff | 0x3005..=0x3007 | 0x3040..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7ff | 0x20000..=0x3ffff => {
            Script::EastAsian
        }
        _ => Script::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::mixes;

    #[test]
    fn a_label_of_two_scripts_is_told_from_one_of_one() {
        let rows = [
            ("example.com", false),
            ("bücher.example", false),
            ("пример.com", false),
            ("pаypal.com", true),
            ("例え.テスト", false),
            ("東京tokyo.example", true),
            ("αpple.example", true),
            ("a1-2.example", false),
            ("ᴀpple.example", true),
        ];
        for (name, mixed) in rows {
            assert_eq!(mixes(name), mixed, "{name}");
        }
    }
}
