//! The admission policy, its expressions evaluated by CEL's own implementation, against pods that it must take and pods that it must not.

use serde_json::{Value, json};

use super::{Tools, object, written};

/// What an agent in a gateway's namespace may be.
fn agent() -> Value {
    json!({"spec": {
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true},
        "containers": [{"name": "agent", "image": "agent", "securityContext": closed()}],
    }})
}

fn closed() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
}

/// The pod with a value at a pointer; below what is not there yet it is made.
fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut pod;
    for part in pointer.trim_start_matches('/').split('/') {
        place = match part.parse::<usize>() {
            Ok(at) => {
                if !place.is_array() {
                    *place = json!([]);
                }
                let all = place.as_array_mut().unwrap();
                all.resize(all.len().max(at + 1), json!({}));
                &mut all[at]
            }
            Err(_) => &mut place[part],
        };
    }
    *place = value;
    pod
}

fn other(name: &str) -> Value {
    json!({"name": name, "image": "other", "securityContext": closed()})
}

/// A pod, and the beginning of what refuses it; nothing where it is taken.
type Case = (Value, &'static [&'static str]);

const NODE: &str = "an agent's pod uses neither the network";
const FILES: &str = "an agent's pod mounts nothing of the node";
const USER: &str = "an agent says as whom it runs";
const GROUP: &str = "an agent is not in exeat's group";
const PRIVILEGES: &str = "an agent gains no privileges";
const CAPABILITIES: &str = "an agent has no capabilities";
const MOUNTS: &str = "an agent mounts none of exeat's volumes";
const LABELS: &str = "an agent stays one";
const FIRST: &str = "an agent's pod begins with";

fn both() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let security = "/spec/containers/0/securityContext";
    vec![
        ("", json!(null), &[]),
        ("/spec/hostNetwork", json!(true), &[NODE]),
        ("/spec/hostNetwork", json!(false), &[]),
        ("/spec/hostPID", json!(true), &[NODE]),
        ("/spec/hostIPC", json!(true), &[NODE]),
        ("/spec/shareProcessNamespace", json!(true), &[NODE]),
        ("/spec/volumes/0", json!({"name": "root", "hostPath": {"path": "/"}}), &[FILES]),
        ("/spec/volumes/0", json!({"name": "work", "emptyDir": {}}), &[]),
        ("/spec/securityContext/runAsUser", json!(65532), &[USER]),
        ("/spec/securityContext/runAsUser", json!(0), &[USER]),
        ("/spec/securityContext", json!({"runAsNonRoot": true}), &[USER]),
        ("/spec/containers/0/securityContext/runAsUser", json!(65532), &[USER]),
        ("/spec/containers/0/securityContext/runAsUser", json!(1001), &[]),
        ("/spec/containers/1", other("second"), &[]),
        ("/spec/containers/1", with(other("second"), "/securityContext/runAsUser", json!(65532)), &[USER]),
        ("/spec/securityContext/runAsGroup", json!(65532), &[GROUP]),
        ("/spec/securityContext/fsGroup", json!(65532), &[GROUP]),
        ("/spec/securityContext/fsGroup", json!(2000), &[]),
        ("/spec/securityContext/supplementalGroups", json!([7, 65532]), &[GROUP]),
        ("/spec/containers/0/securityContext/runAsGroup", json!(65532), &[GROUP]),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true), &[PRIVILEGES]),
        ("/spec/containers/0/securityContext/privileged", json!(true), &[PRIVILEGES]),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["NET_ADMIN"]), &[CAPABILITIES]),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["NET_RAW"]), &[CAPABILITIES]),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"]), &[CAPABILITIES]),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["NET_BIND_SERVICE"]), &[]),
        ("/spec/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"]), &[CAPABILITIES]),
        (security, json!({}), &[PRIVILEGES, CAPABILITIES]),
        ("/spec/ephemeralContainers/0", other("debug"), &[]),
        ("/spec/ephemeralContainers/0", json!({"name": "debug"}), &[PRIVILEGES, CAPABILITIES]),
        ("/spec/ephemeralContainers/0", with(other("debug"), "/securityContext/runAsUser", json!(65532)), &[USER]),
        ("/spec/ephemeralContainers/0", with(other("debug"), "/securityContext/capabilities/add", json!(["NET_ADMIN"])), &[CAPABILITIES]),
    ]
}

/// What each pod is refused with, in short.
fn judged(tools: &Tools, manifests: &str, cases: Vec<Value>) -> Vec<Vec<String>> {
    let file = written(manifests);
    let said = tools.look(&["admit", file.path().to_str().unwrap()], &Value::Array(cases).to_string());
    serde_json::from_str(&said).unwrap()
}

fn assert_judged(tools: &Tools, manifests: &str, cases: Vec<Case>) {
    let found = judged(tools, manifests, cases.iter().map(|(pod, _)| json!({ "object": pod })).collect());
    assert_eq!(found.len(), cases.len());
    for ((pod, expected), found) in cases.iter().zip(found) {
        let fits = found.len() == expected.len() && found.iter().zip(*expected).all(|(found, expected)| found.starts_with(expected));
        assert!(fits, "{found:#?}\nwhere {expected:?} was expected of {pod:#}");
    }
}

fn cases(pod: &Value) -> Vec<Case> {
    both()
        .into_iter()
        .map(|(at, value, expected)| if at.is_empty() { (pod.clone(), expected) } else { (with(pod.clone(), at, value), expected) })
        .collect()
}

#[test]
fn agents_that_could_go_round_a_gateway_are_refused() {
    let Some(tools) = Tools::find() else { return };
    let mut cases = cases(&agent());
    // Nobody is exeat here, whatever they are called.
    let own = json!({"name": "exeat", "image": "registry.example/exeat:0.1.0", "restartPolicy": "Always", "args": ["serve", "--config", "/etc/exeat/exeat.toml"]});
    cases.push((with(agent(), "/spec/initContainers/0", own), &[PRIVILEGES, CAPABILITIES]));
    cases.push((with(agent(), "/spec/initContainers/0", with(other("first"), "/securityContext/runAsUser", json!(65532))), &[USER]));
    assert_judged(&tools, &tools.template("gateway", &[]), cases);
}

#[test]
fn an_agent_that_is_known_by_labels_does_not_lose_them() {
    let Some(tools) = Tools::find() else { return };
    let set = r#"{"agents":{"namespaces":["agents"],"podLabels":{"app.kubernetes.io/name":"coder","tier":"agent"}}}"#;
    let labelled = |labels: Value| with(agent(), "/metadata/labels", labels);
    let both = json!({"app.kubernetes.io/name": "coder", "tier": "agent", "more": "x"});
    assert_judged(
        &tools,
        &tools.template("gateway", &[set]),
        vec![
            (labelled(both), &[]),
            (labelled(json!({"app.kubernetes.io/name": "coder"})), &[LABELS]),
            (labelled(json!({"app.kubernetes.io/name": "other", "tier": "agent"})), &[LABELS]),
            (with(agent(), "/metadata/name", json!("a")), &[LABELS]),
        ],
    );
    let objects = tools.objects(&tools.template("gateway", &[set]));
    let labels = &object(&objects, "Job", "exeat-verify")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels, &json!({"app.kubernetes.io/name": "coder", "tier": "agent"}), "the Job is held as agents are");
    assert_eq!(tools.template("gateway", &[set]).matches("app.kubernetes.io/name: exeat-verify").count(), 0, "a key stands there twice");
}

/// An agent beside its sidecar, as the printed patch makes it.
fn beside(tools: &Tools, set: &[&str]) -> Value {
    let set: Vec<&str> = set.iter().copied().chain(["sidecar.patch.name=a", "sidecar.patch.namespace=agents"]).collect();
    let patch = &tools.objects(&tools.template("sidecar", &set))[0]["spec"]["template"]["spec"];
    with(agent(), "/spec/initContainers", patch["initContainers"].clone())
}

#[test]
fn agents_that_could_go_round_a_sidecar_are_refused() {
    let Some(tools) = Tools::find() else { return };
    let pod = beside(&tools, &[]);
    let mut cases = cases(&pod);
    let init = "/spec/initContainers";
    let reversed: Vec<Value> = pod.pointer(init).unwrap().as_array().unwrap().iter().rev().cloned().collect();
    let more: Vec<Case> = vec![
        (agent(), &[FIRST]),
        (with(pod.clone(), init, json!([])), &[FIRST]),
        (with(pod.clone(), init, json!(reversed)), &[FIRST]),
        (with(pod.clone(), "/spec/initContainers/2", other("later")), &[]),
        (with(pod.clone(), "/spec/initContainers/0", other("first")), &[FIRST]),
        // What calls itself exeat and is another image, or does another thing, is an agent.
        (with(pod.clone(), "/spec/initContainers/1/image", json!("registry.example/other")), &[USER, GROUP, FIRST]),
        (with(pod.clone(), "/spec/initContainers/1/command", json!(["sh"])), &[USER, GROUP, FIRST]),
        (with(pod.clone(), "/spec/initContainers/1/args", json!(["run"])), &[USER, GROUP, FIRST]),
        (with(pod.clone(), "/spec/initContainers/0/command", json!(["nft", "flush", "ruleset"])), &[USER, CAPABILITIES, MOUNTS, FIRST]),
        (with(pod.clone(), "/spec/containers/0/volumeMounts/0", json!({"name": "exeat-state", "mountPath": "/s"})), &[MOUNTS]),
        (with(pod.clone(), "/spec/containers/0/volumeMounts/0", json!({"name": "work", "mountPath": "/w"})), &[]),
        (with(pod.clone(), "/spec/ephemeralContainers/0", with(other("debug"), "/volumeMounts/0/name", json!("exeat-state"))), &[MOUNTS]),
    ];
    // Whoever is taken for an agent mounts what exeat mounts.
    let more = more.into_iter().map(|(pod, expected)| match expected {
        [USER, GROUP, FIRST] => (pod, &[USER, GROUP, MOUNTS, FIRST][..]),
        _ => (pod, expected),
    });
    cases.extend(more);
    assert_judged(&tools, &tools.template("sidecar", &[]), cases);

    let advised = ["sidecar.redirect.enabled=false", "verify.enabled=false"];
    let pod = beside(&tools, &advised);
    assert_judged(&tools, &tools.template("sidecar", &advised), vec![(pod, &[]), (agent(), &[FIRST])]);
}

#[test]
fn what_is_deleted_keeps_its_way_out_of_the_cluster_and_gets_no_new_container() {
    let Some(tools) = Tools::find() else { return };
    let pod = with(with(agent(), "/spec/hostNetwork", json!(true)), "/metadata/deletionTimestamp", json!("2026-11-23T05:00:00Z"));
    let found = judged(
        &tools,
        &tools.template("gateway", &[]),
        vec![json!({"object": pod}), json!({"object": pod, "subResource": "ephemeralcontainers"})],
    );
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_the_chart_and_the_examples_put_beside_agents_is_taken() {
    let Some(tools) = Tools::find() else { return };
    for values in ["gateway", "sidecar"] {
        let rendered = tools.template(values, &[]);
        let objects = tools.objects(&rendered);
        let job = &object(&objects, "Job", "exeat-verify")["spec"]["template"];
        assert_judged(&tools, &rendered, vec![(job.clone(), &[])]);
        let binding = &object(&objects, "ValidatingAdmissionPolicyBinding", "exeat-agents")["spec"];
        assert_eq!(binding["validationActions"], json!(["Deny"]));
        assert_eq!(binding["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"], json!(["agents"]));
        let policy = &object(&objects, "ValidatingAdmissionPolicy", "exeat-agents")["spec"];
        assert_eq!(policy["failurePolicy"], "Fail");
        assert_eq!(policy["matchConstraints"]["resourceRules"][0]["resources"], json!(["pods", "pods/ephemeralcontainers"]));
    }
}
