//! Request paths by their text: `*` any run of characters in a segment, `**` any number of segments, at the end at least one.

/// Whether a path in normal form is one that a pattern stands for, letter for letter.
pub fn matches(pattern: &str, path: &str) -> bool {
    let (wanted, given) = (segments(pattern), segments(path));
    fits(&wanted, &given, &|wanted, given| run(&pieces(wanted, &str::to_owned), given))
}

/// Whether some server could take the path for one that the pattern stands for: case, encoding and a slash at the end aside.
pub fn may_match(pattern: &str, path: &str) -> bool {
    let wanted = segments(pattern);
    let loosely = |path: &str| fits(&wanted, &segments(path), &|wanted, given| run(&pieces(wanted, &folded), &folded(given)));
    let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    matches(pattern, path) || loosely(path) || !other.is_empty() && loosely(&other)
}

/// Percent-decoded.
pub fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escape {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &after[2..];
            }
            Some(_) | None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// Dot segments removed one after the other; `None` where they climb above the root.
pub fn without_dots<'a>(path: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let mut out: Vec<&'a [u8]> = Vec::new();
    let mut parts = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            b"." => {}
            b".." => drop(out.pop()?),
            part => out.push(part),
        }
        if last && matches!(part, b"." | b"..") {
            out.push(b"");
        }
    }
    Some(out)
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

fn folded(text: &str) -> String {
    String::from_utf8_lossy(&decoded(text)).chars().flat_map(char::to_lowercase).collect()
}

/// What stands between the stars of a segment.
fn pieces(segment: &str, read: &dyn Fn(&str) -> String) -> Vec<String> {
    segment.split('*').map(read).collect()
}

fn fits(wanted: &[&str], given: &[&str], alike: &dyn Fn(&str, &str) -> bool) -> bool {
    // Which numbers of segments the pattern so far may have taken.
    let mut taken = vec![false; given.len() + 1];
    taken[0] = true;
    for (at, part) in wanted.iter().enumerate() {
        let mut next = vec![false; given.len() + 1];
        for (count, _) in taken.iter().enumerate().filter(|(_, taken)| **taken) {
            if *part == "**" {
                let least = count + usize::from(at + 1 == wanted.len());
                next.iter_mut().skip(least).for_each(|next| *next = true);
            } else if given.get(count).is_some_and(|given| alike(part, given)) {
                next[count + 1] = true;
            }
        }
        taken = next;
    }
    taken[given.len()]
}

/// The pieces in their order, the first at the start, the last at the end, anything between two.
fn run(pieces: &[String], text: &str) -> bool {
    let (first, rest) = pieces.split_first().expect("a split gives a piece");
    let mut ends: Vec<usize> = if text.starts_with(first.as_str()) { vec![first.len()] } else { Vec::new() };
    for piece in rest {
        let from = ends.iter().min().copied().unwrap_or(usize::MAX);
        let starts = (from..=text.len()).filter(|at| text.is_char_boundary(*at) && text[*at..].starts_with(piece.as_str()));
        ends = starts.map(|at| at + piece.len()).collect();
    }
    ends.contains(&text.len())
}
