//! Which class takes the snapshots of a claim, if any does.

use std::collections::BTreeMap;

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::label::SNAPSHOT_CLASS;
use serde_json::Value;

use crate::error::Result;

/// Annotation of the class that is used where none is named.
const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// The VolumeSnapshotClasses of a cluster, and what its storage classes say of them.
#[derive(Debug, Clone, Default)]
pub struct SnapshotClasses {
    classes: Vec<Class>,
    /// Annotations of storage classes, by their name.
    named: BTreeMap<String, String>,
    /// Why no class is known, where that is not for want of any.
    unread: Option<String>,
}

#[derive(Debug, Clone)]
struct Class {
    name: String,
    driver: String,
    default: bool,
}

/// What was found for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This class takes its snapshots.
    Class {
        /// Name of the class.
        class: String,
        /// Its driver.
        driver: String,
    },
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
        Ok(Self { classes: classes.iter().filter_map(Class::of).collect(), named: named.collect(), unread })
    }

    /// The class for a claim bound to `volume`: `wanted`, or the one that the annotation
    /// `holdfast.dev/snapshot-class` of the claim or of its storage class names, or the driver's
    /// default, or its only one.
    pub fn choose(&self, claim: &Value, volume: &Value, wanted: Option<&str>) -> Choice {
        let Some(driver) = driver_of(volume) else {
            return Choice::None { reason: "its volume is not one of a CSI driver".to_owned() };
        };
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
            Some(class) if class.driver == driver => class.choice(),
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
            ([class], _) => class.choice(),
            (_, [class]) => class.choice(),
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
        let default = object.metadata.annotations.get(DEFAULT).is_some_and(|value| value == "true");
        Some(Self { name: object.metadata.name.clone(), driver, default })
    }

    fn choice(&self) -> Choice {
        Choice::Class { class: self.name.clone(), driver: self.driver.clone() }
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
            Choice::Class { class, .. } => Ok(class),
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
