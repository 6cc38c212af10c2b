//! What an API server remarks about a request that it carried out: `Warning` headers.
//!
//! Unknown fields are among them: a server stores an object without the fields that it does not
//! know, and says so nowhere else.

use http::{HeaderMap, header};

/// Texts of the warnings of a reply, in the order sent (RFC 7234, section 5.5; Kubernetes sends
/// code 299).
pub(crate) fn texts(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::WARNING).iter();
    // Names of fields are UTF-8 and stand there as they are.
    values.filter_map(|value| text(&String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// The quoted text of `299 - "text"`.
fn text(value: &str) -> Option<String> {
    let (_, quoted) = value.split_once('"')?;
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn texts_are_taken_out_of_their_quotes() {
        let mut headers = HeaderMap::new();
        for value in [r#"299 - "unknown field \"spec.extra\"""#, r#"299 - "old" "a date""#, "299 - bare"] {
            headers.append(header::WARNING, HeaderValue::from_static(value));
        }
        headers.append(header::WARNING, HeaderValue::from_bytes("299 - \"未知\"".as_bytes()).unwrap());
        assert_eq!(texts(&headers), [r#"unknown field "spec.extra""#, "old", "未知"]);
    }
}
