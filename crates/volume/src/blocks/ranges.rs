//! Ranges of bytes that somebody names, and their form as lines of text.

use std::io::{self, BufRead};
use std::ops::Range;

/// Ranges of a device's bytes, in any order. An error in between makes all of them worthless: what
/// was not named is not known.
pub type Ranges = Box<dyn Iterator<Item = io::Result<Range<u64>>> + Send>;

/// The last line; without it something was cut off.
const END: &str = "end";

/// Ranges from lines `OFFSET LENGTH`, decimal numbers of bytes, the last line being `end`.
pub fn ranges_from_lines(lines: impl BufRead + Send + 'static) -> Ranges {
    let mut lines = lines.lines();
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let line = match lines.next() {
            Some(Ok(line)) => line,
            Some(Err(error)) => return Some(Err(error)),
            None => {
                ended = true;
                return Some(Err(io::Error::other("the list of ranges has no end, so it is not whole")));
            }
        };
        if line == END {
            ended = true;
            return None;
        }
        Some(parse(&line).ok_or_else(|| io::Error::other(format!("`{line}` is not an offset and a length"))))
    }))
}

fn parse(line: &str) -> Option<Range<u64>> {
    let (offset, length) = line.split_once(' ')?;
    let (offset, length) = (offset.parse::<u64>().ok()?, length.parse::<u64>().ok()?);
    Some(offset..offset.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Vec<Result<Range<u64>, String>> {
        ranges_from_lines(text.as_bytes()).map(|range| range.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn lines_are_ranges_and_a_list_that_was_cut_off_is_an_error() {
        assert_eq!(read("0 10\n4096 512\nend\n"), [Ok(0..10), Ok(4096..4608)]);
        assert_eq!(read("end\nwhat follows is nothing"), []);
        let cut = read("0 10\n");
        assert_eq!(cut.len(), 2);
        assert!(cut[1].as_ref().is_err_and(|error| error.contains("not whole")), "{cut:?}");
        for bad in ["1\nend", "-1 2\nend", "1 x\nend", "18446744073709551615 1\nend"] {
            assert!(read(bad)[0].is_err(), "{bad}");
        }
    }
}
