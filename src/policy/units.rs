//! Durations, sizes and moments as files write them: a number has its unit, a moment its offset.

use std::time::{Duration, SystemTime};

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number and a unit: ms, s, m, h or d")]
pub struct NotADuration;

/// The text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a size is a whole number and a unit: B, KiB, MiB or GiB")]
pub struct NotASize;

/// The text is neither a day nor a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as in RFC 3339: 2027-01-01T12:00:00Z, or 2027-01-01 for where that day begins in UTC")]
pub struct NotAMoment;

/// Reads `2027-01-01T12:00:00Z`, any offset, or `2027-01-01`, which is where that day begins in UTC.
pub fn moment(text: &str) -> Result<SystemTime, NotAMoment> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+ TtZz".contains(&byte)) {
        return Err(NotAMoment);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.into());
    }
    let day = if text.len() == 10 { text.parse::<jiff::civil::Date>().ok() } else { None };
    let day = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    day.map(|day| day.timestamp().into()).ok_or(NotAMoment)
}

/// Reads `45s`, `15m`, `1h`, `30d` or `250ms`.
pub fn duration(text: &str) -> Result<Duration, NotADuration> {
    let (number, unit) = split(text).ok_or(NotADuration)?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(NotADuration),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or(NotADuration)
}

/// Reads `512B`, `32KiB`, `64MiB` or `10GiB` as bytes.
pub fn size(text: &str) -> Result<u64, NotASize> {
    let (number, unit) = split(text).ok_or(NotASize)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(NotASize),
    };
    number.checked_mul(bytes).ok_or(NotASize)
}

/// Writes bytes as `size` reads them, in the largest unit of which they are a whole number.
pub fn spelled_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    let (bits, unit) = units.unwrap_or((0, "B"));
    format!("{}{unit}", bytes >> bits)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        let table = [("250ms", 250), ("0s", 0), ("45s", 45_000), ("15m", 900_000), ("1h", 3_600_000), ("30d", 2_592_000_000)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "45", "s", "-1s", "+1s", "1.5h", "1 h", " 1h", "1H", "1w", "1h30m", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), Err(NotADuration), "{text}");
        }
    }

    #[test]
    fn a_size_has_a_number_and_a_unit() {
        let table = [("512B", 512), ("32KiB", 32_768), ("64MiB", 67_108_864), ("10GiB", 10_737_418_240)];
        for (text, bytes) in table {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, bytes) in table.into_iter().chain([("0B", 0), ("1025B", 1025), ("1025KiB", 1025 << 10)]) {
            assert_eq!(spelled_size(bytes), text);
        }
        for text in ["", "64", "MiB", "64MB", "64M", "64mib", "-1B", "1.5KiB", "64 MiB", "18446744073709551615GiB"] {
            assert_eq!(size(text), Err(NotASize), "{text}");
        }
    }
}
