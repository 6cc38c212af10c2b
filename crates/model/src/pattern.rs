//! Patterns by which people name namespaces, kinds and objects: globs, of which a leading `!` takes out what an
//! earlier one took in.

use globset::{Glob, GlobMatcher};

use crate::object::ResourceType;

/// A glob that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern `{pattern}` is not a valid glob: {message}; use `*`, `?` and `[abc]`")]
pub struct InvalidPattern {
    /// The pattern as given.
    pub pattern: String,
    /// The parser's words.
    pub message: String,
}

/// A pattern and whether it takes in or out what it matches.
#[derive(Debug, Clone)]
pub(crate) struct Rule<P> {
    pub(crate) takes: bool,
    pub(crate) pattern: P,
}

/// Kinds: `secrets`, `Deployment`, `deployments.apps`, `*.istio.io`.
#[derive(Debug, Clone)]
pub(crate) struct KindPattern {
    name: GlobMatcher,
    group: Option<GlobMatcher>,
}

impl KindPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let (name, group) = match text.split_once('.') {
            Some((name, group)) => (name, Some(glob(&group.to_lowercase())?)),
            None => (text, None),
        };
        Ok(Self { name: glob(&name.to_lowercase())?, group })
    }

    pub(crate) fn matches(&self, resource: &ResourceType) -> bool {
        (self.name.is_match(&resource.plural) || self.name.is_match(resource.kind.to_lowercase()))
            && self.group.as_ref().is_none_or(|group| group.is_match(&resource.group))
    }
}

/// The last rule that matches decides; `otherwise` if none does.
pub(crate) fn decide<P>(rules: &[Rule<P>], otherwise: bool, matches: impl Fn(&P) -> bool) -> bool {
    rules.iter().rev().find(|rule| matches(&rule.pattern)).map_or(otherwise, |rule| rule.takes)
}

/// What the rules say of what none of them matches: taken, unless some rule takes in.
pub(crate) fn otherwise<P>(rules: &[Rule<P>]) -> bool {
    rules.iter().all(|rule| !rule.takes)
}

pub(crate) fn rules<P>(
    patterns: &[String],
    parse: impl Fn(&str) -> Result<P, InvalidPattern>,
) -> Result<Vec<Rule<P>>, InvalidPattern> {
    patterns
        .iter()
        .map(|text| {
            let (takes, text) = match text.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, text.as_str()),
            };
            Ok(Rule { takes, pattern: parse(text)? })
        })
        .collect()
}

pub(crate) fn glob(pattern: &str) -> Result<GlobMatcher, InvalidPattern> {
    Glob::new(pattern)
        .map(|glob| glob.compile_matcher())
        .map_err(|error| InvalidPattern { pattern: pattern.to_owned(), message: error.kind().to_string() })
}
