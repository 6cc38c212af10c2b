//! Names between file-system bytes and the quoted form of the format (Go's `strconv.Quote`).

/// Appends `name` quoted: printable characters as they are, everything else escaped.
pub(super) fn quote(name: &[u8], out: &mut String) {
    for piece in name.utf8_chunks() {
        for c in piece.valid().chars() {
            quote_char(c, out);
        }
        for byte in piece.invalid() {
            push_hex_byte(*byte, out);
        }
    }
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        ' '..='~' => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\0'..='\x1f' | '\x7f' => push_hex_byte(c as u8, out),
        _ if is_printable(c) => out.push(c),
        '\u{80}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
        _ => out.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

fn push_hex_byte(byte: u8, out: &mut String) {
    out.push_str(&format!("\\x{byte:02x}"));
}

/// Whether a non-ASCII character is a letter, mark, number, punctuation or symbol. The standard
/// library escapes exactly the others, and combining marks only where they come first.
fn is_printable(c: char) -> bool {
    let mut text = [b'a', 0, 0, 0, 0];
    let len = 1 + c.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..len]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// Undoes [`quote`]; `None` if the text is not a quoted name.
pub(super) fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

/// Handles one escape sequence, after its backslash, and returns what follows it.
fn unescape<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<&'t str> {
    let kind = text.chars().next()?;
    let after = &text[kind.len_utf8()..];
    let simple = match kind {
        '\\' | '"' => kind as u8,
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        'x' => return number(after, 2, 16, |value| out.push(value as u8)),
        'u' => return character(after, 4, out),
        'U' => return character(after, 8, out),
        '0'..='7' => {
            let digits = text.get(..3)?;
            out.push(u8::from_str_radix(digits, 8).ok()?);
            return text.get(3..);
        }
        _ => return None,
    };
    out.push(simple);
    Some(after)
}

fn number(text: &str, digits: usize, radix: u32, put: impl FnOnce(u32)) -> Option<&str> {
    put(u32::from_str_radix(text.get(..digits)?, radix).ok()?);
    text.get(digits..)
}

fn character<'t>(text: &'t str, digits: usize, out: &mut Vec<u8>) -> Option<&'t str> {
    let mut value = 0;
    let rest = number(text, digits, 16, |number| value = number)?;
    let c = char::from_u32(value)?;
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(name: &[u8]) -> String {
        let mut out = String::new();
        quote(name, &mut out);
        out
    }

    #[test]
    fn quotes_as_go_does() {
        for (name, text) in [
            (&b"plain name-1.txt"[..], "plain name-1.txt"),
            (b"a\"b\\c'd", "a\\\"b\\\\c'd"),
            (b"\x01\x07\x7f\n", "\\x01\\a\\x7f\\n"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("ü\u{301}漢".as_bytes(), "ü\u{301}漢"),
            ("\u{200b}\u{a0}\u{e000}\u{10fffe}".as_bytes(), "\\u200b\\u00a0\\ue000\\U0010fffe"),
        ] {
            assert_eq!(quoted(name), text);
            assert_eq!(unquote(text).unwrap(), name);
        }
    }

    #[test]
    fn every_byte_and_character_comes_back() {
        for byte in 0..=255u8 {
            assert_eq!(unquote(&quoted(&[b'x', byte])).unwrap(), [b'x', byte]);
        }
        for c in (0..0x11_0000).filter_map(char::from_u32).step_by(7) {
            let name = c.to_string().into_bytes();
            assert_eq!(unquote(&quoted(&name)).unwrap(), name, "{c:?}");
        }
    }

    #[test]
    fn malformed_escapes_are_refused() {
        for bad in ["\\", "\\q", "\\x1", "\\xzz", "\\ud800", "\\U00110000", "\\08", "\\u12é"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }
}
