//! Values that contradict are refused when they are rendered, with what to do about it; values that do not exist are refused by the schema.

use serde_json::Value;

use super::{CHART, Tools, read};

/// Values beyond those of `ci/`, and the words of the refusal.
const CONTRADICTIONS: &[(&str, &[&str], &[&str])] = &[
    ("gateway", &["image.repository="], &["image.repository is not set", "push the image"]),
    ("gateway", &["allowlists=null"], &["no allowlists", "set allowlists.AGENT"]),
    ("gateway", &["allowlistsConfigMap=mine"], &["allowlists and allowlistsConfigMap are both set", "keep one"]),
    ("gateway", &["allowlists.other=x"], &["allowlists.other does not say agent = \"other\""]),
    ("gateway", &["agents.namespaces=null"], &["agents.namespaces is empty", "name the namespaces"]),
    ("gateway", &["agents.namespaces={exeat-system}"], &["agents.namespaces has exeat-system", "a namespace of its own"]),
    (
        "gateway",
        &["networkPolicy.enabled=false", "verify.enabled=false"],
        &["networkPolicy.enabled and verify.enabled are both false", "enable one, best both"],
    ),
    ("gateway", &["verify.listed=null"], &["verify.listed is empty", "name a URL"]),
    ("gateway", &["inspection.enabled=true"], &["inspection.enabled without inspection.caSecret", "exeat ca init"]),
    ("gateway", &["inspection.caSecret=ca"], &["inspection.caSecret is set and inspection.enabled is false"]),
    ("gateway", &["drain.time=55s"], &["terminationGracePeriodSeconds is 60", "take 60s", "set it to 70 or more"]),
    ("gateway", &["drain.time=2m", "drain.notice=0s"], &["take 120s", "set it to 130 or more"]),
    ("gateway", &["service.clusterIP="], &["service.clusterIP is not set", "choose a free one"]),
    ("gateway", &["service.clusterIP=fd00::1"], &["fd00::1 is not of the first family in ipFamilies, IPv4"]),
    ("gateway", &["ipFamilies={IPv6}"], &["10.96.31.28 is not of the first family in ipFamilies, IPv6"]),
    ("gateway", &["replicas=2"], &["replicas is 2 with approvals.enabled", "set approvals.enabled=false, or replicas=1"]),
    ("gateway", &["admin.enabled=true"], &["admin.enabled without operators.namespaces", "name the namespaces people come from"]),
    (
        "gateway",
        &["admin.enabled=true", "operators.namespaces={ops}", "networkPolicy.enabled=false"],
        &["admin.enabled with networkPolicy.enabled=false", "every pod could reach page and API"],
    ),
    (
        "gateway",
        &["admin.enabled=true", "operators.namespaces={agents}"],
        &["agents is in agents.namespaces and in operators.namespaces", "people come from another namespace"],
    ),
    (
        "gateway",
        &["admin.enabled=true", "operators.namespaces={ops}", "approvals.enabled=false"],
        &["admin.enabled with approvals.enabled=false"],
    ),
    ("gateway", &[r#"{"extraConfig":"[admin]\naddress = \"0.0.0.0:3129\"\n"}"#], &["extraConfig has a table [admin…]", "the admin port"]),
    ("gateway", &[r#"{"extraConfig":" [ \"listen\".more]\n"}"#], &["extraConfig has a table [ \"listen…]"]),
    (
        "gateway",
        &["monitoring.serviceMonitor=true", "monitoring.namespaces=null"],
        &["monitoring.serviceMonitor without monitoring.namespaces", "name the namespace it runs in"],
    ),
    ("gateway", &["networkPolicy.reach={169.254.169.254/32}"], &["networkPolicy.reach has 169.254.169.254/32", "leave it out"]),
    ("gateway", &["networkPolicy.reach={0.0.0.0/0}"], &["networkPolicy.reach has 0.0.0.0/0", "leave it out, and name the ranges"]),
    ("gateway", &["networkPolicy.reach={fd00::/8}"], &["networkPolicy.reach has fd00::/8"]),
    ("gateway", &["networkPolicy.reach={169.0.0.0/8}"], &["networkPolicy.reach has 169.0.0.0/8"]),
    ("gateway", &["networkPolicy.reach={fd00:0ec2::254/128}"], &["networkPolicy.reach has fd00:0ec2::254/128"]),
    ("sidecar", &["networkPolicy.reach={fd00:ec2::254/128}"], &["networkPolicy.reach has fd00:ec2::254/128"]),
    ("gateway", &["storage.size=10Gi"], &["journal.max 10GiB does not fit a volume of 10Gi", "make storage.size larger"]),
    ("gateway", &["sidecar.agent=coder"], &["values of sidecar are set in a gateway"]),
    ("sidecar", &["sidecar.agent="], &["sidecar.agent is not set"]),
    ("sidecar", &["sidecar.agent=other"], &["sidecar.agent is other, and allowlists has no such key"]),
    ("sidecar", &["admissionPolicy.enabled=false"], &["sidecar.redirect.enabled without admissionPolicy.enabled", "enable it"]),
    ("sidecar", &["sidecar.redirect.image="], &["sidecar.redirect.enabled without sidecar.redirect.image", "name an image of yours"]),
    ("sidecar", &["sidecar.redirect.enabled=false"], &["a sidecar without sidecar.redirect enforces nothing", "set verify.enabled=false"]),
    ("sidecar", &["service.clusterIP=10.96.0.9"], &["admin, replicas and service are of a gateway"]),
    ("sidecar", &["monitoring.namespaces={monitoring}"], &["a sidecar's metrics are on loopback", "[telemetry] otlp"]),
    ("sidecar", &["sidecar.patch.name=coder"], &["sidecar.patch.name without sidecar.patch.namespace"]),
];

#[test]
fn values_that_contradict_are_refused_with_the_fix() {
    let Some(tools) = Tools::find() else { return };
    for (values, set, words) in CONTRADICTIONS {
        let output = tools.try_template(values, set);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{set:?} is rendered");
        for word in *words {
            assert!(said.contains(word), "{set:?} does not say {word:?}: {said}");
        }
    }
}

#[test]
fn contradictions_are_told_all_at_once() {
    let Some(tools) = Tools::find() else { return };
    let output = tools.run("helm", &["template", "exeat", CHART]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = said.lines().filter(|line| line.starts_with("  - ")).count();
    assert_eq!((output.status.success(), told), (false, 5), "{said}");
}

#[test]
fn values_that_do_not_exist_are_refused() {
    let Some(tools) = Tools::find() else { return };
    for set in [
        "replica=2",
        "admin.enable=true",
        "replicas=0",
        "topology=both",
        "drain.time=30",
        "service.type=LoadBalancer",
        "storage.size=20",
        "allowlists.Coder=x",
        "secrets.env[0].value=hunter2",
        r#"{"secrets":{"env":[{"name":"EXEAT_ADMIN_ADDRESS","secret":"s","key":"k"}]}}"#,
        "image.digest=latest",
        "sidecar.caGroup=65532",
    ] {
        let output = tools.try_template("gateway", &[set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("schema"), "{set}: {said}");
    }
}

#[test]
fn every_table_of_the_schema_is_closed_and_every_value_has_a_place_in_it() {
    let Some(tools) = Tools::find() else { return };
    let schema: Value = serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).unwrap();
    let values = &tools.objects(&read(&format!("{CHART}/values.yaml")))[0];
    assert_closed("values", &schema, values);
}

/// Labels, quantities and what is shared with other charts have names that nobody can know.
const OPEN: [&str; 7] = [
    "values.global",
    "values.nodeSelector",
    "podLabels",
    "monitoring.labels",
    "resources.limits",
    "resources.requests",
    "values.allowlists",
];

fn assert_closed(place: &str, schema: &Value, values: &Value) {
    if schema["type"] != "object" || OPEN.iter().any(|open| place.ends_with(open)) {
        return;
    }
    assert_eq!(schema["additionalProperties"], false, "{place}");
    let known = schema["properties"].as_object().unwrap();
    for (name, below) in known {
        assert!(name == "global" || values.get(name).is_some(), "{place}.{name} is not in values.yaml");
        assert_closed(&format!("{place}.{name}"), below, &values[name]);
    }
    assert!(values.as_object().unwrap().keys().all(|name| known.contains_key(name)), "{place}: {values}");
}
