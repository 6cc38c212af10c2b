//! What must hold of the tables of a restore for any object whatever.

use holdfast_model::GroupKind;
use holdfast_model::restore::{Mapping, comparable, differences, places, rules};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const KEYS: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "namespace",
    "name",
    "labels",
    "annotations",
    "uid",
    "finalizers",
    "subjects",
    "webhooks",
    "clientConfig",
    "service",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "values",
    "kubernetes.io/metadata.name",
    "storageClassName",
    "ports",
    "nodePort",
    "clusterIP",
    "volumes",
    "template",
    "affinity",
    "podAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "namespaces",
    "ingress",
    "from",
    "egress",
    "to",
    "volumeClaimTemplates",
    "ownerReferences",
    "managedFields",
    "rules",
    "aggregationRule",
    "secrets",
    "hard",
    "fast.storageclass.storage.k8s.io/requests.storage",
    "a/b~c",
    "",
];

const TEXTS: &[&str] = &[
    "shop",
    "bank",
    "shop-eu",
    "fast",
    "ssd",
    "None",
    "system:serviceaccounts:shop",
    "system:serviceaccount:shop:web",
    "db.shop.svc",
    "kubernetes.io/metadata.name",
    "",
];

const KINDS: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("", "Service"),
    ("", "Pod"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "PersistentVolumeClaim"),
    ("", "ResourceQuota"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("shop.example", "Till"),
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(7, 120, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..6).prop_map(|pairs| {
                Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    (json_value(), json_value(), json_value())
        .prop_map(|(metadata, spec, rest)| json!({"metadata": metadata, "spec": spec, "status": rest, "subjects": [spec]}))
}

fn kind() -> impl Strategy<Value = GroupKind> {
    prop::sample::select(KINDS).prop_map(|(group, kind)| GroupKind::new(group, kind))
}

fn mapping() -> Mapping {
    Mapping::parse(&["shop=shop-eu", "bank=bank-eu"], &["fast=ssd"]).unwrap()
}

proptest! {
    #[test]
    fn mapping_twice_is_mapping_once(of in kind(), object in object()) {
        let mut once = object;
        mapping().apply(&of, &mut once);
        let mut twice = once.clone();
        mapping().apply(&of, &mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_no_line_names_is_not_touched(object in object()) {
        let of = GroupKind::new("shop.example", "Till");
        let mut stripped = object.clone();
        rules::strip(&of, &mut stripped);
        prop_assert_eq!(&stripped["spec"], &object["spec"]);
        prop_assert_eq!(&stripped["subjects"], &object["subjects"]);
        let mut mapped = object.clone();
        mapping().apply(&of, &mut mapped);
        prop_assert_eq!(&mapped["spec"], &object["spec"]);
    }

    #[test]
    fn stripping_twice_is_stripping_once(of in kind(), object in object()) {
        let once = comparable(&of, &object);
        prop_assert_eq!(comparable(&of, &once), once);
    }

    #[test]
    fn equal_states_differ_nowhere_and_others_somewhere(of in kind(), a in object(), b in object()) {
        prop_assert!(differences(&of, &a, &a).is_empty());
        prop_assert_eq!(differences(&of, &a, &b).is_empty(), a == b);
    }

    #[test]
    fn nothing_panics_on_any_value(of in kind(), mut value in json_value()) {
        rules::strip(&of, &mut value);
        mapping().apply(&of, &mut value);
        places::mentions(&value, &["shop"]);
    }
}
