//! Requests that readers disagree on: one mutator after the other over a few good ones, and chance from a fixed seed.

/// What follows the head of a request to a listed host, and its method. `SMUGGLED` must never become a request: read as one, it asks for a host that no front lets pass.
pub(crate) struct Shape {
    pub(crate) method: &'static str,
    /// The fields, each with its line end, without the empty line.
    pub(crate) fields: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: other.test\r\n\r\n";

/// Those that every server knows.
const METHODS: [&str; 10] = ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH", "PROPFIND", "REPORT", "PURGE"];

const CHUNK_SIZES: [&str; 16] =
    ["3", "03", "0003", "3 ", "3;a", "3;a=b", "3;a=\"b\"", "3 ;a", "3;", "3;\0", "3;\u{e9}", "0x3", " 3", "+3", "3\t", "3;0\r\n3"];

const TRAILERS: [&str; 6] =
    ["", "X: y\r\n", "Content-Length: 50\r\n", "Transfer-Encoding: chunked\r\n", "Host: evil.test\r\n", "GET /smuggled HTTP/1.1\r\n"];

/// Fields about the body beside the one that frames it.
const BESIDE: [&str; 30] = [
    "Transfer_Encoding: chunked\r\n",
    "Content_Length: 3\r\n",
    "TransferEncoding: chunked\r\n",
    "Content-Encoding: chunked\r\n",
    "X-Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding: \tchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n",
    "X: y\n",
    "X:y\r\n",
    "X: y\t\r\n",
    "X: \u{e9}\r\n",
    "X: \r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 03\r\n",
    "Content-Length : 3\r\n",
    "Connection: Content-Length\r\n",
    "Connection: Transfer-Encoding\r\n",
    "Connection: close\r\nTE: chunked\r\n",
    "Expect: 100-continue\r\n",
];

/// Everything but chance.
pub(crate) fn all() -> Vec<Shape> {
    let inner = SMUGGLED.len();
    let chunked = format!("{inner:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
    let mut shapes = Vec::new();
    let mut add = |method, fields: String, body: String| shapes.push(Shape { method, fields: fields.into(), body: body.into() });
    for method in METHODS {
        add(method, String::new(), String::new());
        for beside in
            ["", "X: y\r\n"].into_iter().chain(if method == "POST" || method == "GET" { &BESIDE[..] } else { &[] }.iter().copied())
        {
            add(method, format!("Content-Length: {inner}\r\n{beside}"), SMUGGLED.to_owned());
            add(method, format!("{beside}Content-Length: {inner}\r\n"), SMUGGLED.to_owned());
            add(method, format!("Transfer-Encoding: chunked\r\n{beside}"), chunked.clone());
            add(method, format!("{beside}Transfer-Encoding: chunked\r\n"), chunked.clone());
        }
    }
    for size in CHUNK_SIZES {
        add("POST", "Transfer-Encoding: chunked\r\n".to_owned(), format!("{size}\r\nabc\r\n{size}\r\ndef\r\n0\r\n\r\n{SMUGGLED}"));
        add("POST", "Transfer-Encoding: chunked\r\n".to_owned(), format!("{size}\r\nabc\r\n0\r\n\r\n"));
    }
    for trailer in TRAILERS {
        add("POST", "Transfer-Encoding: chunked\r\n".to_owned(), format!("3\r\nabc\r\n0\r\n{trailer}\r\n"));
        add("DELETE", "Transfer-Encoding: chunked\r\n".to_owned(), format!("3\r\nabc\r\n0;{trailer}\r\n\r\n"));
    }
    for length in [0, 1, 2, inner - 1, inner + 1] {
        add("POST", format!("Content-Length: {length}\r\n"), SMUGGLED.to_owned());
    }
    add("PUT", format!("Content-Length: {}\r\n", 100_000), "x".repeat(100_000).replace("xxxxxxxxxxxxxxxx", "0\r\n\r\nGET /smug "));
    shapes
}

/// A generator of numbers without quality but with a seed (xorshift, Marsaglia 2003).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    /// One of the shapes, changed in one to three places.
    pub(crate) fn shape(&mut self, shapes: &[Shape]) -> Shape {
        const BYTES: &[u8] = b"\r\n\t \0\x0b\x0c\x7f\x85\xa0:;,=\"0123fx-_+";
        let seed = &shapes[self.below(shapes.len())];
        let (mut fields, mut body) = (seed.fields.clone(), seed.body.clone());
        for _ in 0..=self.below(3) {
            let in_head = self.below(3) > 0;
            let text = if in_head { &mut fields } else { &mut body };
            let at = self.below(text.len() + 1);
            let byte = BYTES[self.below(BYTES.len())];
            match self.below(6) {
                0 | 1 => text.insert(at, byte),
                2 if at < text.len() => text[at] = byte,
                3 if at < text.len() => drop(text.remove(at)),
                4 => text.splice(at..at, *b"\r\n").for_each(drop),
                _ => {
                    let line = text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
                    text.extend(line);
                }
            }
        }
        Shape { method: seed.method, fields, body }
    }
}
