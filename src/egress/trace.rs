//! The agent's trace context, as W3C Trace Context (version 00) writes it. What is not valid is not there, and never an error.

use std::fmt;

use data_encoding::HEXLOWER;

/// A `traceparent` of version 00: recorded with the attempt, and never added to what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// Reads the value of the field (W3C Trace Context section 3.2): lower case only, no id of zeros alone, nothing behind the flags.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = value.split(|byte| *byte == b'-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != b"00" || parts.next().is_some() {
            return None;
        }
        let (trace, parent, [flags]) = (octets::<16>(trace)?, octets::<8>(parent)?, octets::<1>(flags)?);
        (trace != [0; 16] && parent != [0; 8]).then_some(Self { trace, parent, flags })
    }
}

fn octets<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    HEXLOWER.decode(hex).ok()?.try_into().ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, parent, flags } = self;
        write!(f, "00-{}-{}-{flags:02x}", HEXLOWER.encode(trace), HEXLOWER.encode(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_valid_one_reads_back_as_it_was_written() {
        for flags in ["00", "01", "03", "ff"] {
            let text = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(TraceParent::parse(text.as_bytes()).map(|parsed| parsed.to_string()), Some(text));
        }
    }

    #[test]
    fn whatever_is_not_exactly_that_is_none() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        let zero = |text: &str| text.chars().map(|c| if c == '-' { c } else { '0' }).collect::<String>();
        let table = [
            String::new(),
            good.to_uppercase(),
            good.replace("00-", "01-"),
            good.replace("00-", "ff-"),
            good.replace('-', "_"),
            format!("{good}-"),
            format!("{good}-more"),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}, {good}"),
            format!("{good}0"),
            format!("00-{}-{PARENT}-01", zero(TRACE)),
            format!("00-{TRACE}-{}-01", zero(PARENT)),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{}g-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}-{PARENT}00-01"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-é{}-{PARENT}-01", &TRACE[2..]),
        ];
        for text in table {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
