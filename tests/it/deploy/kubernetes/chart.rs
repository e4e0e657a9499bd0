//! What the chart renders: valid in three minors, the same as the bases, and the same as last time.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::{CHART, MINORS, Tools, assert_kept, object, read, written};

/// Values beyond those of `ci/`, each with the name of its golden file.
const MATRIX: [(&str, &str, &[&str]); 5] = [
    ("gateway-replicas", "gateway", &["replicas=3", "approvals.enabled=false"]),
    (
        "gateway-admin",
        "gateway",
        &[
            r#"{"admin":{"enabled":true,"hosts":["exeat.corp.example"]},"operators":{"namespaces":["ingress"]},"agents":{"namespaces":["agents","more-agents"]}}"#,
        ],
    ),
    (
        "gateway-inspection",
        "gateway",
        &[
            r#"{"inspection":{"enabled":true,"caSecret":"exeat-ca"},"dns":{"servers":["10.96.0.10"]},"guard":{"never":["10.96.0.0/12"]},"networkPolicy":{"reach":["10.20.0.0/16"]}}"#,
            r#"{"secrets":{"env":[{"name":"GITHUB_TOKEN","secret":"github","key":"token"}],"files":["registry"]},"agents":{"podLabels":{"role":"agent"}}}"#,
            r#"{"image":{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","pullSecrets":["pull"]},"extraConfig":"[telemetry]\nstdout = true\n"}"#,
        ],
    ),
    ("gateway-ipv6", "gateway", &[r#"{"ipFamilies":["IPv6","IPv4"],"service":{"clusterIP":"fd00:10:96::1f1c"}}"#]),
    ("sidecar-inspection", "sidecar", &[r#"{"ipFamilies":["IPv4","IPv6"],"inspection":{"enabled":true,"caSecret":"exeat-ca"}}"#]),
];

/// Objects that Kubernetes itself has no schema of.
fn is_known(one: &Value) -> bool {
    !["ServiceMonitor", "PrometheusRule"].contains(&one["kind"].as_str().unwrap())
}

#[test]
fn the_chart_lints() {
    let Some(tools) = Tools::find() else { return };
    for values in ["gateway", "sidecar"] {
        let said = tools.said("helm", &["lint", "--strict", CHART, "-f", &format!("{CHART}/ci/{values}-values.yaml")]);
        assert!(said.contains("1 chart(s) linted, 0 chart(s) failed") && !said.contains("WARN"), "{said}");
    }
}

#[test]
fn what_is_rendered_is_valid_in_three_minors() {
    let Some(tools) = Tools::find() else { return };
    let plain: [(&str, &str, &[&str]); 2] = [("gateway", "gateway", &[]), ("sidecar", "sidecar", &[])];
    let mut all: Vec<String> = plain.iter().chain(&MATRIX).map(|(_, values, set)| tools.template(values, set)).collect();
    all.extend(["base/gateway", "base/sidecar"].map(|folder| tools.kustomize(&format!("deploy/kubernetes/{folder}"))));
    let wrong = tools.template("gateway", &[]).replace("enableServiceLinks", "enableServiceLink");
    let all = all.join("\n---\n");
    for minor in MINORS {
        let (valid, said) = tools.validate(minor, &all);
        assert!(valid, "{minor}: {said}");
        let (valid, said) = tools.validate(minor, &wrong);
        assert!(!valid, "{minor}: an unknown field passes: {said}");
    }
}

#[test]
fn what_is_rendered_is_as_it_was_reviewed() {
    let Some(tools) = Tools::find() else { return };
    for (name, values, set) in MATRIX {
        let (plain, more) = (written(&tools.template(values, &[])), written(&tools.template(values, set)));
        let output = Command::new("diff").arg("-U3").args([plain.path(), more.path()]).output().unwrap();
        let difference = String::from_utf8(output.stdout).unwrap();
        let difference: Vec<&str> = difference.lines().skip(2).filter(|line| !line.contains("checksum/config")).map(trimmed).collect();
        assert_kept(&format!("tests/it/deploy/golden/{name}.diff"), &(difference.join("\n") + "\n"));
    }
}

/// Without the place, which moves with every line before it.
fn trimmed(line: &str) -> &str {
    if line.starts_with("@@") { "@@" } else { line.trim_end() }
}

/// The text of what the chart renders, by template, without what is helm's alone.
fn without_helm(rendered: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::<String, String>::new();
    for part in rendered.split("---\n# Source: exeat/templates/").skip(1) {
        let (template, text) = part.split_once('\n').unwrap();
        let own = |line: &&str| !["helm.sh/", "app.kubernetes.io/managed-by", "checksum/config"].iter().any(|word| line.contains(word));
        let lines: Vec<&str> = text.lines().filter(own).map(str::trim_end).collect();
        let deep = |line: &str| line.len() - line.trim_start().len();
        let is_empty =
            |at: usize| lines[at].ends_with("annotations:") && lines.get(at + 1).is_none_or(|next| deep(next) <= deep(lines[at]));
        let kept: Vec<&str> = (0..lines.len()).filter(|at| !is_empty(*at)).map(|at| lines[at]).collect();
        let file = files.entry(template.to_owned()).or_default();
        *file += &format!("---\n{}\n", kept.join("\n").trim_end());
    }
    files.remove("config.yaml");
    files
}

#[test]
fn the_bases_are_what_the_chart_renders() {
    let Some(tools) = Tools::find() else { return };
    for topology in ["gateway", "sidecar"] {
        let rendered = tools.template(topology, &[]);
        for (file, text) in without_helm(&rendered) {
            let note = format!("# What the chart renders with ci/{topology}-values.yaml; a test holds the two together.\n");
            assert_kept(&format!("deploy/kubernetes/base/{topology}/{file}"), &(note + &text));
        }
        let objects = tools.objects(&rendered);
        for map in objects.iter().filter(|one| one["kind"] == "ConfigMap") {
            for (key, text) in map["data"].as_object().unwrap() {
                assert_kept(&format!("deploy/kubernetes/base/{topology}/{key}"), text.as_str().unwrap());
            }
        }
    }
    let patch = tools.template("sidecar", &["sidecar.patch.name=any", "sidecar.patch.namespace=any"]);
    let note = "# What `helm template` prints with ci/sidecar-values.yaml and sidecar.patch.name; a test holds the two together.\n";
    assert_kept("deploy/kubernetes/sidecar/pod.yaml", &(note.to_owned() + &without_helm(&patch)["patch.yaml"]));
}

/// An object without what is helm's or kustomize's alone, under its kind, namespace and name.
fn named(mut one: Value) -> (String, Value) {
    for place in ["/metadata", "/spec/template/metadata"] {
        let Some(data) = one.pointer_mut(place) else { continue };
        for (part, name) in [
            ("labels", "helm.sh/chart"),
            ("labels", "app.kubernetes.io/managed-by"),
            ("annotations", "helm.sh/hook"),
            ("annotations", "helm.sh/hook-delete-policy"),
            ("annotations", "checksum/config"),
        ] {
            data.get_mut(part).and_then(Value::as_object_mut).map(|all| all.remove(name));
        }
        if data.get("annotations") == Some(&json!({})) {
            data.as_object_mut().unwrap().remove("annotations");
        }
    }
    let name = |part: &str| one["metadata"][part].as_str().unwrap_or_default().to_owned();
    (format!("{} {}/{}", one["kind"].as_str().unwrap(), name("namespace"), name("name")), one)
}

#[test]
fn chart_and_kustomize_render_the_same_objects() {
    let Some(tools) = Tools::find() else { return };
    for topology in ["gateway", "sidecar"] {
        let by_name = |text: &str| tools.objects(text).into_iter().map(named).collect::<BTreeMap<_, _>>();
        let helm = by_name(&tools.template(topology, &[]));
        let built = tools.kustomize(&format!("deploy/kubernetes/base/{topology}"));
        // kustomize names what makes the pods new by its content.
        let kustomize = by_name(&unhashed(&built));
        assert_eq!(helm.keys().collect::<Vec<_>>(), kustomize.keys().collect::<Vec<_>>());
        for (name, one) in &helm {
            let other = &kustomize[name];
            assert!(one == other, "{name} of the chart:\n{one:#}\nof kustomize:\n{other:#}");
        }
    }
}

pub(super) fn unhashed(built: &str) -> String {
    let mut text = built.to_owned();
    while let Some(at) = text.find("exeat-config-") {
        let from = at + "exeat-config".len();
        text.replace_range(from..from + 11, "");
    }
    text
}

#[test]
fn a_changed_exeat_toml_makes_the_pod_anew_and_a_changed_allowlist_does_not() {
    let Some(tools) = Tools::find() else { return };
    let pod = |set: &[&str]| object(&tools.objects(&tools.template("gateway", set)), "StatefulSet", "exeat")["spec"]["template"].clone();
    let plain = pod(&[]);
    assert_ne!(pod(&["drain.time=31s"]), plain);
    assert_eq!(pod(&[r#"{"allowlists":{"other":"agent = \"other\"\n"}}"#]), plain);
}

#[test]
fn what_is_copied_into_the_chart_is_what_we_ship() {
    for (copy, truth) in
        [("prometheus-rules.yaml", "deploy/observability/prometheus-rules.yaml"), ("sidecar.nft", "deploy/nft/sidecar.nft")]
    {
        assert_kept(&format!("{CHART}/files/{copy}"), &read(truth));
    }
}

#[test]
fn prometheus_gets_our_rules_and_finds_the_job_they_expect() {
    let Some(tools) = Tools::find() else { return };
    let set = r#"{"monitoring":{"serviceMonitor":true,"prometheusRule":true,"labels":{"release":"prometheus"}}}"#;
    let objects = tools.objects(&tools.template("gateway", &[set]));
    let rules = &tools.objects(&read("deploy/observability/prometheus-rules.yaml"))[0];
    assert_eq!(&object(&objects, "PrometheusRule", "exeat")["spec"], rules);
    let monitor = object(&objects, "ServiceMonitor", "exeat");
    let service = object(&objects, "Service", "exeat-pods");
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(selected.iter().all(|(name, value)| &service["metadata"]["labels"][name] == value), "{selected:?}");
    assert_eq!(monitor["spec"]["jobLabel"], "app.kubernetes.io/name");
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/name"], "exeat");
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let known: Vec<Value> = objects.into_iter().filter(is_known).collect();
    let (valid, said) = tools.validate(MINORS[2], &known.iter().map(|one| format!("---\n{one}\n")).collect::<String>());
    assert!(valid, "{said}");
}
