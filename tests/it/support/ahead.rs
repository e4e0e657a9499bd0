//! Bytes read ahead of what was asked for, from either end of a connection.

/// What reads ahead.
pub(crate) trait Ahead {
    /// What was read and not yet taken.
    fn ahead(&mut self) -> &mut Vec<u8>;

    /// Reads more; `false` at the end of the stream.
    fn fill(&mut self) -> bool;

    /// The next line, without its end.
    fn line(&mut self) -> Option<String> {
        loop {
            let ahead = self.ahead();
            if let Some(end) = ahead.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&ahead[..end]).into_owned();
                ahead.drain(..end + 2);
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Exactly so many bytes.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.ahead().len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.ahead().drain(..length).collect())
    }
}
