//! Which class takes the snapshots of a claim, if any does.

use std::collections::BTreeMap;

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::label::SNAPSHOT_CLASS;
use serde_json::Value;

use super::group::{GroupApi, GroupClass};
use crate::error::Result;

/// Annotations of the class, of snapshots and of groups, that is used where none is named.
const DEFAULTS: [&str; 2] = [
    "snapshot.storage.kubernetes.io/is-default-class",
    "groupsnapshot.storage.kubernetes.io/is-default-class",
];

/// The VolumeSnapshotClasses of a cluster, and what its storage classes say of them.
#[derive(Debug, Clone, Default)]
pub struct SnapshotClasses {
    classes: Vec<Class>,
    /// Annotations of storage classes, by their name.
    named: BTreeMap<String, String>,
    /// Why no class is known, where that is not for want of any.
    unread: Option<String>,
    /// The classes of groups of snapshots, if the cluster has any.
    groups: Option<(GroupApi, Vec<Class>)>,
}

#[derive(Debug, Clone)]
struct Class {
    name: String,
    driver: String,
    default: bool,
}

/// Who takes the snapshots of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBy {
    /// VolumeSnapshotClass.
    pub class: String,
    /// Its driver.
    pub driver: String,
    /// It is what the driver does where nobody asks for another class.
    pub is_usual: bool,
}

/// What was found for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This class takes its snapshots.
    Class(SnapshotBy),
    /// Its storage takes none, and why.
    None {
        /// In words.
        reason: String,
    },
    /// Somebody has to say which.
    Unclear {
        /// What is unclear.
        reason: String,
        /// What to do.
        hint: String,
    },
}

impl SnapshotClasses {
    /// Reads them. A cluster that does not serve them has none.
    ///
    /// # Errors
    /// The cluster cannot be reached, or storage classes cannot be read.
    pub async fn read(cluster: &Cluster) -> Result<Self> {
        let classes = cluster.list_all(&kinds::volume_snapshot_classes(), ListOptions::default()).await;
        let (classes, unread) = match classes {
            Ok(classes) => (classes, None),
            Err(error) if error.is_not_found() => (Vec::new(), None),
            Err(error) if error.is_forbidden() => (Vec::new(), Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let storage = match classes.is_empty() {
            true => Vec::new(),
            false => cluster.list_all(&kinds::storage_classes(), ListOptions::default()).await?,
        };
        let named = storage.iter().filter_map(|class| {
            Some((class.metadata.name.clone(), class.metadata.annotations.get(SNAPSHOT_CLASS)?.clone()))
        });
        let groups = match classes.is_empty() {
            true => None,
            false => GroupApi::find(cluster).await?,
        };
        let groups = groups.map(|(api, classes)| (api, classes.iter().filter_map(Class::of).collect()));
        let classes = classes.iter().filter_map(Class::of).collect();
        Ok(Self { classes, named: named.collect(), unread, groups })
    }

    /// The class by which a driver takes snapshots of several claims at one moment: its default, or its only one.
    pub(crate) fn group_class(&self, driver: &str) -> Option<GroupClass> {
        let (api, classes) = self.groups.as_ref()?;
        let of_driver: Vec<&Class> = classes.iter().filter(|class| class.driver == driver).collect();
        let default = of_driver.iter().find(|class| class.default);
        let class = match of_driver.as_slice() {
            [class] => class,
            _ => default?,
        };
        Some(GroupClass { api: *api, class: class.name.clone(), driver: driver.to_owned() })
    }

    /// Whether snapshots by these are taken at one moment, if all are of one namespace.
    pub fn cut_together(&self, by: &[SnapshotBy]) -> bool {
        match by {
            [] | [_] => true,
            [first, ..] => {
                self.group_class(&first.driver).is_some()
                    && by.iter().all(|by| by.is_usual && by.driver == first.driver)
            }
        }
    }

    /// The class for a claim bound to `volume`: `wanted`, or the one that the annotation
    /// `holdfast.dev/snapshot-class` of the claim or of its storage class names, or the driver's
    /// default, or its only one.
    pub fn choose(&self, claim: &Value, volume: &Value, wanted: Option<&str>) -> Choice {
        match driver_of(volume) {
            Some(driver) => self.of_driver(claim, driver, wanted),
            None => Choice::None { reason: "its volume is not one of a CSI driver".to_owned() },
        }
    }

    /// The same for a claim that has no volume yet, by who will make it.
    pub(crate) fn choose_by_driver(&self, claim: &Value, driver: &str) -> Choice {
        self.of_driver(claim, driver, None)
    }

    fn of_driver(&self, claim: &Value, driver: &str, wanted: Option<&str>) -> Choice {
        let storage = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
        let annotated = claim["metadata"]["annotations"][SNAPSHOT_CLASS].as_str();
        let named = wanted.or(annotated).or(self.named.get(storage).map(String::as_str));
        match named {
            Some(name) => self.by_name(name, driver),
            None => self.by_driver(driver),
        }
    }

    fn by_name(&self, name: &str, driver: &str) -> Choice {
        match self.classes.iter().find(|class| class.name == name) {
            Some(class) if class.driver == driver => class.choice(false),
            Some(class) => Choice::Unclear {
                reason: format!(
                    "VolumeSnapshotClass {name} is of driver {}, its volume of {driver}",
                    class.driver
                ),
                hint: format!("name a class of {driver}"),
            },
            None => Choice::Unclear {
                reason: format!("VolumeSnapshotClass {name} does not exist"),
                hint: "correct the annotation or the rule that names it, or make the class".to_owned(),
            },
        }
    }

    fn by_driver(&self, driver: &str) -> Choice {
        let of_driver: Vec<&Class> = self.classes.iter().filter(|class| class.driver == driver).collect();
        let defaults: Vec<&&Class> = of_driver.iter().filter(|class| class.default).collect();
        match (of_driver.as_slice(), defaults.as_slice()) {
            ([], _) => Choice::None {
                reason: match &self.unread {
                    Some(why) => format!("VolumeSnapshotClasses cannot be read: {why}"),
                    None => format!("there is no VolumeSnapshotClass of driver {driver}"),
                },
            },
            ([class], _) => class.choice(true),
            (_, [class]) => class.choice(true),
            (several, _) => Choice::Unclear {
                reason: format!(
                    "driver {driver} has several VolumeSnapshotClasses and not one default: {}",
                    several.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ")
                ),
                hint: format!(
                    "name one in the annotation {SNAPSHOT_CLASS} of the claim or its storage class"
                ),
            },
        }
    }
}

impl Class {
    fn of(object: &RawObject) -> Option<Self> {
        let driver = object.parse().ok()?["driver"].as_str()?.to_owned();
        let annotations = &object.metadata.annotations;
        let default = DEFAULTS.iter().any(|key| annotations.get(*key).is_some_and(|value| value == "true"));
        Some(Self { name: object.metadata.name.clone(), driver, default })
    }

    fn choice(&self, is_usual: bool) -> Choice {
        Choice::Class(SnapshotBy { class: self.name.clone(), driver: self.driver.clone(), is_usual })
    }
}

/// The CSI driver of a PersistentVolume.
pub fn driver_of(volume: &Value) -> Option<&str> {
    volume["spec"]["csi"]["driver"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn classes(of: &[(&str, &str, bool)]) -> SnapshotClasses {
        let class = |(name, driver, default): &(&str, &str, bool)| Class {
            name: (*name).to_owned(),
            driver: (*driver).to_owned(),
            default: *default,
        };
        SnapshotClasses { classes: of.iter().map(class).collect(), ..SnapshotClasses::default() }
    }

    fn chosen(classes: &SnapshotClasses, claim: &Value, wanted: Option<&str>) -> Result<String, String> {
        let volume = json!({"spec": {"csi": {"driver": "d"}}});
        match classes.choose(claim, &volume, wanted) {
            Choice::Class(by) => Ok(by.class),
            Choice::None { reason } | Choice::Unclear { reason, .. } => Err(reason),
        }
    }

    #[test]
    fn the_default_of_the_driver_or_its_only_class_is_taken() {
        let claim = json!({});
        assert_eq!(chosen(&classes(&[("a", "d", false), ("b", "e", true)]), &claim, None).unwrap(), "a");
        let two = classes(&[("a", "d", false), ("b", "d", true)]);
        assert_eq!(chosen(&two, &claim, None).unwrap(), "b");
        let unclear = classes(&[("a", "d", false), ("b", "d", false)]);
        assert!(chosen(&unclear, &claim, None).unwrap_err().contains("a, b"));
        let none = classes(&[("b", "e", true)]);
        assert!(matches!(
            none.choose(&claim, &json!({"spec": {"csi": {"driver": "d"}}}), None),
            Choice::None { .. }
        ));
        assert!(matches!(two.choose(&claim, &json!({"spec": {"nfs": {}}}), None), Choice::None { .. }));
    }

    #[test]
    fn several_are_cut_together_by_the_default_or_only_class_of_groups() {
        let by = |driver: &str, is_usual| SnapshotBy { class: "c".into(), driver: driver.into(), is_usual };
        let mut all = classes(&[]);
        assert!(all.cut_together(&[by("d", true)]), "one alone is of one moment");
        assert!(!all.cut_together(&[by("d", true), by("d", true)]), "no class");
        all.groups = Some((
            GroupApi::newest(),
            classes(&[("g", "d", false), ("h", "e", false), ("i", "e", true)]).classes,
        ));
        assert!(all.cut_together(&[by("d", true), by("d", true)]));
        assert_eq!(all.group_class("e").unwrap().class, "i");
        assert!(!all.cut_together(&[by("d", true), by("e", true)]), "two drivers");
        assert!(!all.cut_together(&[by("d", true), by("d", false)]), "another class is wanted");
    }

    #[test]
    fn rule_claim_and_storage_class_name_it_in_this_order() {
        let mut all = classes(&[("a", "d", true), ("b", "d", false), ("c", "d", false), ("x", "e", false)]);
        all.named.insert("fast".into(), "b".into());
        let plain = json!({"spec": {"storageClassName": "fast"}});
        let mut annotated = plain.clone();
        annotated["metadata"]["annotations"][SNAPSHOT_CLASS] = json!("c");
        assert_eq!(chosen(&all, &plain, None).unwrap(), "b");
        assert_eq!(chosen(&all, &annotated, None).unwrap(), "c");
        assert_eq!(chosen(&all, &annotated, Some("a")).unwrap(), "a");
        assert!(chosen(&all, &plain, Some("x")).unwrap_err().contains("driver e"));
        assert!(chosen(&all, &plain, Some("gone")).unwrap_err().contains("does not exist"));
    }
}
