//! Places in an object's JSON, written once in a table and found in every object.
//!
//! A place is a JSON pointer (RFC 6901: `/` between steps, `~1` for a slash and `~0` for a tilde
//! within one) in which the step `*` stands for every element, and a step that ends in `*` for
//! every key with that beginning.

use serde_json::Value;

/// One step of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Every,
    Key(String),
    Prefix(String),
}

impl Step {
    fn parse(text: &str) -> Self {
        let plain = |text: &str| text.replace("~1", "/").replace("~0", "~");
        match text.strip_suffix('*') {
            Some("") => Step::Every,
            Some(prefix) => Step::Prefix(plain(prefix)),
            None => Step::Key(plain(text)),
        }
    }

    fn takes(&self, key: &str) -> bool {
        match self {
            Step::Every => true,
            Step::Key(name) => key == name,
            Step::Prefix(prefix) => key.starts_with(prefix.as_str()),
        }
    }
}

fn steps(place: &str) -> Vec<Step> {
    place.split('/').skip(1).map(Step::parse).collect()
}

/// Removes everything at `place`, and maps and lists that are left empty by it, up to but not
/// including the object's own top level. Says whether anything was there.
pub fn remove(object: &mut Value, place: &str) -> bool {
    remove_if(object, place, &|_| true)
}

/// Removes what stands at `place` and is wanted gone, as [`remove`] does.
pub fn remove_if(object: &mut Value, place: &str, unwanted: &dyn Fn(&Value) -> bool) -> bool {
    remove_steps(object, &steps(place), unwanted)
}

fn remove_steps(value: &mut Value, steps: &[Step], unwanted: &dyn Fn(&Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    let mut removed = false;
    // Tells whether the child is to go: it is what was looked for, or has just become empty.
    let mut goes = |child: &mut Value| {
        let goes = match rest {
            [] => unwanted(child),
            rest => {
                let emptied = remove_steps(child, rest, unwanted);
                removed |= emptied;
                emptied && is_empty(child)
            }
        };
        removed |= goes;
        goes
    };
    match value {
        Value::Object(map) => map.retain(|key, child| !(step.takes(key) && goes(child))),
        Value::Array(list) if *step == Step::Every => list.retain_mut(|child| !goes(child)),
        _ => {}
    }
    removed
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Copies what stands at `place` in `from` to where `to` has nothing. Elements of lists are not
/// copied: which of them belong together cannot be told here.
pub fn copy_missing(from: &Value, to: &mut Value, place: &str) {
    copy_steps(from, to, &steps(place));
}

fn copy_steps(from: &Value, to: &mut Value, steps: &[Step]) {
    let (Some((step, rest)), Value::Object(source), Value::Object(target)) = (steps.split_first(), from, to)
    else {
        return;
    };
    for (key, value) in source.iter().filter(|(key, _)| *step != Step::Every && step.takes(key)) {
        match (rest, target.get_mut(key)) {
            ([], None) => {
                target.insert(key.clone(), value.clone());
            }
            ([], Some(_)) => {}
            (rest, Some(child)) => copy_steps(value, child, rest),
            (rest, None) => {
                let mut child = Value::Object(serde_json::Map::new());
                copy_steps(value, &mut child, rest);
                if !is_empty(&child) {
                    target.insert(key.clone(), child);
                }
            }
        }
    }
}

/// Calls `visit` with everything at `place`.
pub fn each_mut(object: &mut Value, place: &str, visit: &mut dyn FnMut(&mut Value)) {
    each_step(object, &steps(place), visit);
}

fn each_step(value: &mut Value, steps: &[Step], visit: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else { return visit(value) };
    match value {
        Value::Object(map) => {
            map.iter_mut()
                .filter(|(key, _)| step.takes(key))
                .for_each(|(_, child)| each_step(child, rest, visit));
        }
        Value::Array(list) if *step == Step::Every => {
            list.iter_mut().for_each(|child| each_step(child, rest, visit));
        }
        _ => {}
    }
}

/// Whether anything stands at `place`.
pub fn exists(object: &Value, place: &str) -> bool {
    exists_step(object, &steps(place))
}

fn exists_step(value: &Value, steps: &[Step]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match value {
        Value::Object(map) => map.iter().any(|(key, child)| step.takes(key) && exists_step(child, rest)),
        Value::Array(list) if *step == Step::Every => list.iter().any(|child| exists_step(child, rest)),
        _ => false,
    }
}

/// One key as a step of a pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removing_takes_emptied_parents_along_but_never_the_top() {
        let mut object = json!({"metadata": {"annotations": {"a.io/x": "1", "a.io/y": "2"}, "name": "n"},
            "spec": {"ports": [{"port": 1, "nodePort": 2}, {"port": 3}]}});
        assert!(remove(&mut object, "/metadata/annotations/a.io~1*"));
        assert!(remove(&mut object, "/spec/ports/*/nodePort"));
        assert!(!remove(&mut object, "/spec/ports/*/nodePort"));
        assert_eq!(object, json!({"metadata": {"name": "n"}, "spec": {"ports": [{"port": 1}, {"port": 3}]}}));
        let mut small = json!({"spec": {"x": 1}});
        assert!(remove(&mut small, "/spec/x"));
        assert_eq!(small, json!({}));
    }

    #[test]
    fn what_was_empty_before_stays() {
        let mut object = json!({"spec": {"podSelector": {}, "x": {"y": 1}}});
        assert!(!remove(&mut object, "/spec/podSelector/absent"));
        assert!(remove(&mut object, "/spec/x/y"));
        assert_eq!(object, json!({"spec": {"podSelector": {}}}));
    }

    #[test]
    fn a_place_may_lie_in_every_element() {
        let mut object = json!({"l": [{"n": "a"}, {"n": "b"}, 3], "m": {"n": "c"}});
        let mut seen = Vec::new();
        each_mut(&mut object, "/*/*/n", &mut |value| seen.push(value.clone()));
        assert_eq!(seen, ["a", "b"]);
        assert!(exists(&object, "/m/n") && !exists(&object, "/l/n") && !exists(&json!(3), "/a"));
    }

    #[test]
    fn what_is_missing_is_copied_and_what_is_there_is_kept() {
        let from = json!({"spec": {"ip": "1", "ports": [{"n": 1}]}, "metadata": {"annotations": {"pv/a": "1", "x": "2"}}});
        let mut to = json!({"spec": {"kind": "k", "ports": [{}]}});
        for place in ["/spec/ip", "/spec/ports/*/n", "/metadata/annotations/pv~1*", "/absent/x"] {
            copy_missing(&from, &mut to, place);
        }
        copy_missing(&json!({"spec": {"kind": "other"}}), &mut to, "/spec/kind");
        let expected = json!({"spec": {"kind": "k", "ip": "1", "ports": [{}]}, "metadata": {"annotations": {"pv/a": "1"}}});
        assert_eq!(to, expected);
    }

    #[test]
    fn only_unwanted_elements_go() {
        let mut object = json!({"metadata": {"finalizers": ["a", "b"]}});
        assert!(remove_if(&mut object, "/metadata/finalizers/*", &|value| value == "a"));
        assert_eq!(object, json!({"metadata": {"finalizers": ["b"]}}));
    }
}
