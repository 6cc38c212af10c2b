//! Label selectors in kubectl's syntax, for objects that are at hand.

use serde_json::Value;

/// A selector: all of its requirements must hold. One without any selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In,
    NotIn,
}

/// A selector that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a label selector: write KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (A, B) or KEY notin (A, B), joined by commas"
)]
pub struct InvalidSelector {
    /// As given.
    pub text: String,
}

impl LabelSelector {
    /// Parses a selector; the empty text selects everything.
    ///
    /// # Errors
    /// [`InvalidSelector`]
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        let invalid = || InvalidSelector { text: text.to_owned() };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let parts = parts(text).ok_or_else(invalid)?;
        let requirements: Option<Vec<Requirement>> = parts.into_iter().map(Requirement::parse).collect();
        Ok(Self { requirements: requirements.ok_or_else(invalid)? })
    }

    /// Whether it has no requirements.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it selects an object, by its `metadata.labels`.
    pub fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.requirements.iter().all(|requirement| requirement.holds(labels[&requirement.key].as_str()))
    }
}

/// The requirements, cut at the commas outside of parentheses.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let with = |key: &str, operator, values: Vec<String>| {
            let key = key.trim();
            let is_valid = is_key(key) && values.iter().all(|value| is_value(value));
            is_valid.then(|| Self { key: key.to_owned(), operator, values })
        };
        if let Some(listed) = text.strip_suffix(')') {
            let (head, values) = listed.split_once('(')?;
            let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
            let operator = match operator {
                "in" => Operator::In,
                "notin" => Operator::NotIn,
                _ => return None,
            };
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            return with(key, operator, values);
        }
        if let Some((key, value)) = text.split_once("!=") {
            return with(key, Operator::NotIn, vec![value.trim().to_owned()]);
        }
        if let Some((key, value)) = text.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value);
            return with(key, Operator::In, vec![value.trim().to_owned()]);
        }
        match text.strip_prefix('!') {
            Some(key) => with(key, Operator::DoesNotExist, Vec::new()),
            None => with(text, Operator::Exists, Vec::new()),
        }
    }

    /// What has no such label is in no set, and so outside of every one.
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.iter().any(|other| other == value));
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In => listed,
            Operator::NotIn => !listed,
        }
    }
}

/// `name` or `prefix/name`.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    };
    !name.is_empty() && is_value(name) && prefix.is_none_or(is_prefix)
}

/// Up to 63 characters of names; the empty value is one.
fn is_value(value: &str) -> bool {
    value.len() <= 63 && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: Value) -> bool {
        LabelSelector::parse(selector).unwrap().selects(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn selectors_mean_what_they_mean_to_kubectl() {
        for (selector, web, db, none) in [
            ("", true, true, true),
            ("app=web", true, false, false),
            ("app==web", true, false, false),
            ("app!=web", false, true, true),
            ("app in (web, db)", true, true, false),
            ("app notin (web)", false, true, true),
            ("app", true, true, false),
            ("!app", false, false, true),
            ("app in (web,db),tier=front", true, false, false),
            ("a.io/tier notin (x), app", true, true, false),
            ("app=", false, false, false),
        ] {
            assert_eq!(selects(selector, json!({"app": "web", "tier": "front"})), web, "{selector}");
            assert_eq!(selects(selector, json!({"app": "db"})), db, "{selector}");
            assert_eq!(selects(selector, Value::Null), none, "{selector}");
        }
        assert!(selects("app=", json!({"app": ""})));
        assert!(selects("app=web,!tier", json!({"app": "web"})));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            ",",
            "app=we b",
            "app in web",
            "app in (web",
            "app)",
            "=x",
            "a b",
            "app in (web) x",
            "!",
            "a/b/c",
        ] {
            let error = LabelSelector::parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{text}");
        }
    }
}
