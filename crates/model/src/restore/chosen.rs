//! Which fields of a Service a person chose, as told by `managedFields`.
//!
//! Server-side field tracking records what a request said, and not what the API server allocated
//! afterwards. So a node port that some manager owns was asked for, and one that nobody owns was
//! allocated. An object without any tracking keeps what it has: dropping a port that was chosen
//! breaks clients, keeping one that was allocated breaks nothing that is not named.

use serde_json::Value;

/// Whether somebody asked for the field at this path of `fieldsV1` keys.
pub(super) fn field(object: &Value, path: &[&str]) -> bool {
    let tracked = managers(object);
    tracked.is_empty()
        || tracked.iter().any(|fields| path.iter().try_fold(*fields, |value, key| value.get(key)).is_some())
}

/// Whether nobody asked for any of the Service's node ports.
pub(super) fn no_node_port(service: &Value) -> bool {
    let tracked = managers(service);
    let asked = |fields: &&Value| {
        let ports = fields["f:spec"]["f:ports"].as_object();
        ports.is_some_and(|ports| ports.values().any(|port| port.get("f:nodePort").is_some()))
    };
    !tracked.is_empty() && !tracked.iter().any(asked)
}

fn managers(object: &Value) -> Vec<&Value> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries
        .into_iter()
        .flatten()
        .map(|entry| &entry["fieldsV1"])
        .filter(|fields| fields.is_object())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(fields: Value) -> Value {
        json!({"metadata": {"managedFields": [{"manager": "kubectl", "fieldsV1": fields}]}})
    }

    #[test]
    fn a_port_that_a_manager_owns_was_asked_for() {
        let port = |extra: Value| json!({"f:spec": {"f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": extra}}});
        assert!(!no_node_port(&service(port(json!({"f:port": {}, "f:nodePort": {}})))));
        assert!(no_node_port(&service(port(json!({"f:port": {}})))));
        assert!(!no_node_port(&json!({"metadata": {}})), "without tracking it is kept");
    }

    #[test]
    fn a_field_is_found_at_its_path() {
        let chosen = service(json!({"f:spec": {"f:ipFamilies": {}}}));
        assert!(field(&chosen, &["f:spec", "f:ipFamilies"]));
        assert!(!field(&chosen, &["f:spec", "f:ipFamilyPolicy"]));
    }
}
