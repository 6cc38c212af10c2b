//! Whether the point has what was chosen of it: a name with a typing error must not look like a success.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_model::restore::modifier::Applicable;
use holdfast_model::restore::{Chooser, Terms};
use holdfast_model::{Problem, ResourceType};
use serde_json::Value;

const HINT: &str = "`holdfast point ls POINT` lists what it holds";

/// What was asked for, and what of it was met with.
pub(super) struct Sought {
    chooser: Arc<Chooser>,
    /// Single objects and globs of them.
    objects: Vec<(String, AtomicBool)>,
    /// Whether something was asked for by its namespace, kind or labels, and is yet to be met with.
    conditions: Option<AtomicBool>,
    /// Modifiers, whether each applied to something; none where a part is restored that they may not be for.
    modifiers: Vec<AtomicBool>,
}

impl Sought {
    pub(super) fn of(terms: &Terms, chooser: Arc<Chooser>) -> Self {
        let selection = &terms.selection;
        let named = selection.objects.iter().filter(|text| !text.starts_with('!'));
        let objects: Vec<_> = named.map(|text| (text.clone(), AtomicBool::new(false))).collect();
        let is_by_conditions = objects.is_empty() && !selection.is_everything();
        let judged = if selection.is_everything() { terms.modifiers.len() } else { 0 };
        let modifiers = (0..judged).map(|_| AtomicBool::default()).collect();
        Self { chooser, objects, conditions: is_by_conditions.then(AtomicBool::default), modifiers }
    }

    /// Takes note of the modifiers that apply to an object.
    pub(super) fn modified(&self, by: &Applicable) {
        for applied in by.indices().filter_map(|index| self.modifiers.get(index)) {
            applied.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note of an object of the point that is chosen.
    pub(super) fn met(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) {
        if let Some(conditions) = &self.conditions
            && self.chooser.means(of, namespace, object)
        {
            conditions.store(true, Ordering::Relaxed);
        }
        if !self.objects.is_empty() && self.chooser.names(of, namespace, object) {
            for index in self.chooser.named_by(of, namespace, object) {
                self.objects[index].1.store(true, Ordering::Relaxed);
            }
        }
    }

    /// What was asked for and is not in the point.
    pub(super) fn missed(&self) -> Vec<Problem> {
        let was_met = |met: &AtomicBool| met.load(Ordering::Relaxed);
        let problem =
            |subject: &str, message: &str| Problem::new("restore.not_in_point", subject, message).hint(HINT);
        let missed = self.objects.iter().filter(|(_, met)| !was_met(met));
        let mut problems: Vec<Problem> = missed
            .map(|(text, _)| {
                problem(text, "the point has no such object, or another condition leaves it out")
            })
            .collect();
        if self.conditions.as_ref().is_some_and(|met| !was_met(met)) {
            problems.push(problem("selection", "nothing in the point is what was chosen of it"));
        }
        problems
    }

    /// Modifiers that applied to nothing. One list may serve many applications, so that is no problem.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        let unused =
            self.modifiers.iter().enumerate().filter(|(_, applied)| !applied.load(Ordering::Relaxed));
        unused.map(|(index, _)| format!("modifier {}: nothing in the point is what it selects", index + 1))
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_model::restore::{Modifiers, Selection};
    use serde_json::json;

    use super::*;

    #[test]
    fn modifiers_that_apply_to_nothing_are_noted() {
        let of = |name: &str| json!({"select": {"objects": [name]}, "merge": {"data": {}}});
        let modifiers = serde_json::from_value(json!([of("secrets/till"), of("secrets/tlil")])).unwrap();
        let mut terms = Terms { modifiers, ..Terms::default() };
        let unused = |terms: &Terms| {
            let sought = Sought::of(terms, Arc::new(terms.selection.chooser().unwrap()));
            let secret = json!({"metadata": {"name": "till"}});
            let modifiers = Modifiers::new(&terms.modifiers).unwrap();
            sought.modified(&modifiers.of(&kinds::secrets(), Some("shop"), &secret));
            sought.unused().collect::<Vec<_>>()
        };
        assert_eq!(unused(&terms), ["modifier 2: nothing in the point is what it selects"]);
        terms.selection.kinds = vec!["secrets".to_owned()];
        assert!(unused(&terms).is_empty(), "it may be for what is not restored now");
    }

    fn missed(selection: &Selection) -> Vec<String> {
        let chooser = Arc::new(selection.chooser().unwrap());
        let terms = Terms { selection: selection.clone(), ..Terms::default() };
        let sought = Sought::of(&terms, Arc::clone(&chooser));
        let object = |name: &str| json!({"metadata": {"name": name, "labels": {"tier": "front"}}});
        for (of, namespace, name) in
            [(kinds::namespaces(), None, "shop"), (kinds::secrets(), Some("shop"), "till")]
        {
            if chooser.takes(&of, namespace, &object(name)) {
                sought.met(&of, namespace, &object(name));
            }
        }
        sought.missed().into_iter().map(|problem| problem.subject).collect()
    }

    #[test]
    fn what_is_not_there_is_named() {
        let none: [&str; 0] = [];
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let objects = |texts: &[&str]| Selection { objects: strings(texts), ..Selection::default() };
        assert_eq!(missed(&Selection::default()), none);
        assert_eq!(missed(&objects(&["secrets/till", "secret/shop/t*", "!secrets/x"])), none);
        assert_eq!(missed(&objects(&["secrets/till", "secrets/tiil"])), ["secrets/tiil"]);
        assert_eq!(missed(&objects(&["!secrets/till"])), none, "the namespace is left");
        let namespaces = |texts: &[&str]| Selection { namespaces: strings(texts), ..Selection::default() };
        assert_eq!(missed(&namespaces(&["shop"])), none);
        assert_eq!(missed(&namespaces(&["shpo"])), ["selection"]);
        let labels = |text: &str| Selection { labels: text.to_owned(), ..Selection::default() };
        assert_eq!(missed(&labels("tier=front")), none);
        assert_eq!(missed(&labels("tier=back")), ["selection"]);
        let kinds = |text: &str| Selection { kinds: strings(&[text]), ..Selection::default() };
        assert_eq!(missed(&kinds("secrets")), none);
        assert_eq!(missed(&kinds("configmaps")), ["selection"]);
    }
}
