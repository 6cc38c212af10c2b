//! Amounts as people read them: sizes, counts, ages and spans of time.

use std::time::Duration;

use jiff::Timestamp;

/// A size in IEC units with three significant digits: `1.21 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 999.5 would be printed with four digits.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A count with groups of three digits: `31,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 volume`, `31,000 objects`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A span of time with the precision it deserves: `412 ms`, `7.3 s`, `2m05s`, `3h20m`.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..100_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => {
            let seconds = duration.as_secs();
            match seconds {
                0..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
                _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
            }
        }
    }
}

/// Time between two instants; none if they are the wrong way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// How long ago something was, as kubectl says it: `45s`, `12m`, `3h20m`, `2d4h`, `120d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = between(then, now).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let pair = |big: u64, big_unit: char, small: u64, small_unit: char| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_023_999, "0.98 MiB"),
            (10 * 1024 * 1024, "10.0 MiB"),
            (1_300_000_000, "1.21 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        let texts = [0, 999, 1_000, 31_000, 1_234_567].map(count);
        assert_eq!(texts, ["0", "999", "1,000", "31,000", "1,234,567"]);
        assert_eq!((counted(1, "volume"), counted(0, "volume")), ("1 volume".into(), "0 volumes".into()));
    }

    #[test]
    fn spans_and_ages_are_as_precise_as_they_deserve() {
        let spans = [412, 7_312, 99_999, 125_000, 12_000_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["412 ms", "7.3 s", "99.9 s", "2m05s", "3h20m"]);
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let ages = [45, 300, 301, 720, 12_000, 90_000, 187_200, 10_368_000].map(|s| age(at(0), at(s)));
        assert_eq!(ages, ["45s", "5m", "5m1s", "12m", "3h20m", "25h", "2d4h", "120d"]);
        assert_eq!(age(at(9), at(0)), "0s");
    }
}
