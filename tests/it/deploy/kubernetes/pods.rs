//! What every pod of ours has, whatever the values: rights, Secrets that have to be there, commands that the real program knows.

use std::process::Command;

use serde_json::{Value, json};

use super::{Tools, object};

const SECRETS: &str = r#"{"inspection":{"enabled":true,"caSecret":"exeat-ca"},"secrets":{"env":[{"name":"GITHUB_TOKEN","secret":"github","key":"token"}],"files":["registry"]}}"#;

/// Everything below a value, itself too.
fn below<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(all) => all.iter().for_each(|one| below(one, visit)),
        Value::Object(all) => all.values().for_each(|one| below(one, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The pods of StatefulSet, Job and patch.
fn pods(objects: &[Value]) -> Vec<&Value> {
    objects.iter().filter_map(|one| one.pointer("/spec/template/spec")).collect()
}

/// The containers of a pod that are ours.
fn containers(pod: &Value) -> Vec<&Value> {
    let of = |list: &str| pod[list].as_array().map_or_else(Vec::new, |all| all.iter().collect());
    [of("initContainers"), of("containers")].concat()
}

fn rendered(tools: &Tools) -> Vec<Value> {
    let patch = [SECRETS, "sidecar.patch.name=a", "sidecar.patch.namespace=agents"];
    let texts = [tools.template("gateway", &[SECRETS]), tools.template("sidecar", &[SECRETS]), tools.template("sidecar", &patch)];
    texts.iter().flat_map(|text| tools.objects(text)).collect()
}

#[test]
fn a_pod_whose_secret_is_missing_does_not_start() {
    let Some(tools) = Tools::find() else { return };
    let objects = rendered(&tools);
    let mut found = Vec::new();
    for pod in pods(&objects) {
        below(pod, &mut |value| {
            for reference in ["secretKeyRef", "secret"] {
                if let Some(secret) = value.get(reference) {
                    assert_eq!(secret["optional"], false, "{secret}");
                    found.push(secret.get("name").or(secret.get("secretName")).unwrap().as_str().unwrap());
                }
            }
        });
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["exeat-ca", "exeat-proxy", "github", "registry"]);
    assert!(objects.iter().all(|one| one["kind"] != "Secret"), "values hold no secrets");
}

#[test]
fn every_pod_is_closed() {
    let Some(tools) = Tools::find() else { return };
    let objects = rendered(&tools);
    let pods = pods(&objects);
    assert_eq!(pods.len(), 4);
    for pod in pods {
        assert_eq!((&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]), (&json!(false), &json!(false)));
        for container in containers(pod).into_iter().filter(|one| one.get("image").is_some()) {
            let security = &container["securityContext"];
            let drops = json!({"drop": ["ALL"]});
            let capabilities = if container["name"] == "exeat-redirect" { json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}) } else { drops };
            assert_eq!(security["capabilities"], capabilities, "{container}");
            assert_eq!((&security["allowPrivilegeEscalation"], &security["readOnlyRootFilesystem"]), (&json!(false), &json!(true)));
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
            if container["name"] == "exeat" {
                assert_eq!((&security["runAsUser"], &security["runAsNonRoot"]), (&json!(65532), &json!(true)));
            }
        }
    }
}

#[test]
fn a_gateways_files_stay_its_own_at_every_mount() {
    let Some(tools) = Tools::find() else { return };
    let objects = tools.objects(&tools.template("gateway", &[]));
    let pod = &object(&objects, "StatefulSet", "exeat")["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["securityContext"]["fsGroup"], &pod["securityContext"]["fsGroupChangePolicy"]),
        (&json!(65532), &json!("OnRootMismatch"))
    );
    let toml = object(&objects, "ConfigMap", "exeat-config")["data"]["exeat.toml"].as_str().unwrap();
    // The volume's own folder belongs to root; exeat makes one of its own in it.
    assert!(toml.contains("state      = \"/var/lib/exeat/state\"\n"), "{toml}");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(&json!({"name": "exeat-state", "mountPath": "/var/lib/exeat"})));
}

#[test]
fn agents_are_led_to_the_proxys_port_and_to_no_other() {
    let Some(tools) = Tools::find() else { return };
    let set = r#"{"admin":{"enabled":true,"hosts":["exeat.corp.example"]},"operators":{"namespaces":["ingress"]}}"#;
    for set in [&[][..], &[set]] {
        let objects = tools.objects(&tools.template("gateway", set));
        let ports = |name: &str| {
            object(&objects, "Service", name)["spec"]["ports"].as_array().unwrap().iter().map(|one| one["port"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(ports("exeat"), [3128]);
        assert_eq!(ports("exeat-pods"), [9464]);
        let of = |name: &str, way: &str| object(&objects, "NetworkPolicy", name)["spec"][way].as_array().unwrap().clone();
        let [only] = &of("exeat-agents", "egress")[..] else { panic!("one way out") };
        assert_eq!(only["ports"], json!([{"protocol": "TCP", "port": 3128}]));
        let who = |rule: &Value| {
            (rule["ports"][0]["port"].clone(), rule["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"].clone())
        };
        let mut expected = vec![(json!(3128), json!(["agents"])), (json!(9464), json!(["monitoring"]))];
        if !set.is_empty() {
            expected.push((json!(3129), json!(["ingress"])));
            assert_eq!(ports("exeat-admin"), [3129]);
        }
        assert_eq!(of("exeat", "ingress").iter().map(who).collect::<Vec<_>>(), expected);
        let kinds: Vec<&Value> = objects.iter().filter(|one| one["kind"] == "Service").map(|one| &one["spec"]["type"]).collect();
        assert!(kinds.iter().all(|kind| *kind == "ClusterIP"), "{kinds:?}");
    }
}

#[test]
fn nothing_is_lent_to_the_cluster_in_either_family() {
    let Some(tools) = Tools::find() else { return };
    let objects = tools.objects(&tools.template("sidecar", &[r#"{"ipFamilies":["IPv4","IPv6"]}"#]));
    let egress = &object(&objects, "NetworkPolicy", "exeat-agents")["spec"]["egress"];
    let blocks: Vec<&Value> = egress[1]["to"].as_array().unwrap().iter().map(|one| &one["ipBlock"]).collect();
    assert_eq!(blocks[0]["except"], json!(["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"]));
    assert_eq!(blocks[1]["except"], json!(["fc00::/7", "fe80::/10", "fd00:ec2::254/128"]));
    assert_eq!(egress[1]["ports"], json!([{"protocol": "TCP"}]));
}

#[test]
fn name_servers_behind_a_services_address_are_reached() {
    let Some(tools) = Tools::find() else { return };
    // Most plug-ins look at policies when a Service's address has become that of a pod, which no ipBlock of the Service's is.
    let pods = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    for (values, policy) in [("gateway", "exeat"), ("sidecar", "exeat-agents")] {
        let objects = tools.objects(&tools.template(values, &["dns.servers={10.96.0.10}"]));
        let first = object(&objects, "NetworkPolicy", policy)["spec"]["egress"][0].clone();
        assert_eq!(first["to"], json!([pods, {"ipBlock": {"cidr": "10.96.0.10/32"}}]), "{values}");
        assert_eq!(first["ports"], json!([{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]));
    }
}

#[test]
fn exeat_knows_every_command_that_a_pod_runs() {
    let Some(tools) = Tools::find() else { return };
    let objects = rendered(&tools);
    let mut commands = Vec::new();
    for container in pods(&objects).into_iter().flat_map(containers) {
        commands.extend(container.get("args"));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            commands.extend(container[probe].pointer("/exec/command"));
        }
    }
    let knows = |words: &[&str]| Command::new(env!("CARGO_BIN_EXE_exeat")).args(words).arg("--help").output().unwrap();
    for command in &commands {
        let words: Vec<&str> =
            command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).filter(|word| *word != "/usr/bin/exeat").collect();
        let output = knows(&words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    }
    assert_eq!(commands.len(), 9, "{commands:?}");
    assert_eq!(knows(&["doctor", "--from-agents"]).status.code(), Some(2));
}
