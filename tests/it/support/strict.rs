//! HTTP/1.1 requests read as RFC 9112 wants them written, and in no other way: what departs from it is named, not forgiven.

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Nothing,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunks,
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Method, target and version.
    pub(crate) line: String,
    /// Names in lower case, by name, then as they stood.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The values of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// `name: value` of every field but these.
    pub(crate) fn fields_but(&self, names: &[&str]) -> Vec<String> {
        self.fields.iter().filter(|(name, _)| !names.contains(&name.as_str())).map(|(name, value)| format!("{name}: {value}")).collect()
    }
}

/// The whole requests of a connection, and whether an unfinished one follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) unfinished: bool,
}

/// Reads everything one connection brought. `Err` says what no sender may write.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Reading, String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            let lines = bytes.windows(2).rposition(|two| two == b"\r\n").unwrap_or(0);
            return head(&bytes[..lines]).map(|_start| Reading { messages, unfinished: true });
        };
        let (line, fields) = head(&bytes[..end])?;
        let framing = framing(&fields)?;
        let rest = &bytes[end + 4..];
        let body = match framing {
            Framing::Nothing => Some((Vec::new(), rest)),
            Framing::Length => {
                let length: usize = value(&fields, "content-length").parse().map_err(|error| format!("{error}"))?;
                rest.split_at_checked(length).map(|(body, rest)| (body.to_vec(), rest))
            }
            Framing::Chunks => chunks(rest)?,
        };
        let Some((body, rest)) = body else { return Ok(Reading { messages, unfinished: true }) };
        messages.push(Message { line, fields, framing, body });
        bytes = rest;
    }
    Ok(Reading { messages, unfinished: false })
}

type Head = (String, Vec<(String, String)>);

fn head(bytes: &[u8]) -> Result<Head, String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    if text.replace("\r\n", "").contains(|c: char| c.is_control() && c != '\t') {
        return Err(format!("a control character in {text:?}"));
    }
    let words: Vec<&str> = line.split(' ').collect();
    let is_request = matches!(words[..], [method, target, "HTTP/1.1"] if is_token(method) && target.starts_with(['/', '*']));
    let mut fields = Vec::new();
    for field in lines {
        let (name, value) = field.split_once(':').ok_or_else(|| format!("no colon in {field:?}"))?;
        if !is_token(name) {
            return Err(format!("{name:?} is no field name"));
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    fields.sort_by(|one, two| one.0.cmp(&two.0));
    if is_request || fields.is_empty() { Ok((line, fields)) } else { Err(format!("{line:?} is no request line of ours")) }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
}

fn framing(fields: &[(String, String)]) -> Result<Framing, String> {
    let all = |name: &str| fields.iter().filter(|(field, _)| field == name).count();
    if all("host") != 1 {
        return Err(format!("{} Host fields", all("host")));
    }
    let (length, coding) = (value(fields, "content-length"), value(fields, "transfer-encoding"));
    match (all("content-length"), all("transfer-encoding")) {
        (0, 0) => Ok(Framing::Nothing),
        (1, 0) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Framing::Length),
        (0, 1) if coding == "chunked" => Ok(Framing::Chunks),
        _ => Err(format!("framed by {fields:?}")),
    }
}

/// A body, and what follows it.
type Body<'a> = (Vec<u8>, &'a [u8]);

/// A chunked body; `None` if it is not whole.
fn chunks(mut bytes: &[u8]) -> Result<Option<Body<'_>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(bytes, b"\r\n") else { return Ok(None) };
        let size = String::from_utf8_lossy(&bytes[..end]).into_owned();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("the chunk size {size:?}"));
        }
        let size = usize::from_str_radix(&size, 16).map_err(|error| format!("the chunk size {size:?}: {error}"))?;
        let Some((chunk, rest)) = bytes[end + 2..].split_at_checked(size) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', rest @ ..] if size == 0 => return Ok(Some((body, rest))),
            [b'\r', b'\n', rest @ ..] => bytes = rest,
            [] | [b'\r'] => return Ok(None),
            _ if size == 0 => return Err("a trailer".to_owned()),
            _ => return Err("a chunk longer than it says".to_owned()),
        }
        body.extend(chunk);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[test]
fn only_what_a_sender_may_write_is_read() {
    let whole = |bytes: &str| read(bytes.as_bytes()).map(|reading| (reading.messages.len(), reading.unfinished));
    let head = "POST / HTTP/1.1\r\nHost: x\r\n";
    let table = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some((1, false))),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHo".to_owned(), Some((1, true))),
        (format!("{head}Content-Length: 3\r\n\r\nabc"), Some((1, false))),
        (format!("{head}Content-Length: 3\r\n\r\nab"), Some((0, true))),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), Some((1, false))),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), Some((0, true))),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n"), None),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"), None),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"), None),
        (format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc"), None),
        (format!("{head}Transfer-Encoding: xchunked\r\n\r\n"), None),
        (format!("{head}Content-Length: 3, 3\r\n\r\nabc"), None),
        (format!("{head}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), None),
        (format!("{head}X: a\r\n b\r\n\r\n"), None),
        (format!("{head}X: a\n\r\n\r\n"), None),
        (format!("{head}Host: y\r\n\r\n"), None),
        ("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), None),
        ("GET / HTTP/1.0\r\nHost: x\r\n\r\n".to_owned(), None),
    ];
    for (bytes, wanted) in table {
        assert_eq!(whole(&bytes).ok(), wanted, "{bytes:?}: {:?}", whole(&bytes));
    }
}
