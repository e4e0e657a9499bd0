//! The examples: valid, taken by the admission policy, and led to exeat alone.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{MINORS, Tools, object, read, root, written};

const FOLDER: &str = "deploy/kubernetes/examples";

/// The examples as they are applied, by name.
fn all(tools: &Tools) -> BTreeMap<&'static str, Vec<Value>> {
    let plain = ["agent.yaml", "namespaces.yaml", "sandbox-template.yaml"];
    let built = ["overlay", "agent-sidecar"];
    let plain = plain.map(|name| (name, tools.objects(&read(&format!("{FOLDER}/{name}")))));
    let built = built.map(|name| (name, tools.objects(&tools.kustomize(&format!("{FOLDER}/{name}")))));
    plain.into_iter().chain(built).collect()
}

/// The pod of a Deployment or of a template of agent-sandbox.
fn pod(one: &Value) -> Value {
    let spec = one.pointer("/spec/podTemplate/spec").or_else(|| one.pointer("/spec/template/spec")).unwrap().clone();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "agents"}, "spec": spec})
}

#[test]
fn the_examples_are_valid_in_three_minors() {
    let Some(tools) = Tools::find() else { return };
    let known = all(&tools).into_values().flatten().map(|one| if one["kind"] == "SandboxTemplate" { pod(&one) } else { one });
    let known: String = known.map(|one| format!("---\n{one}\n")).collect();
    for minor in MINORS {
        let (valid, said) = tools.validate(minor, &known);
        assert!(valid, "{minor}: {said}");
    }
}

#[test]
fn a_sandbox_template_has_the_fields_of_its_kind_and_leads_to_exeat_alone() {
    let Some(tools) = Tools::find() else { return };
    let template = &tools.objects(&read(&format!("{FOLDER}/sandbox-template.yaml")))[0];
    assert_eq!((&template["apiVersion"], &template["kind"]), (&json!("extensions.agents.x-k8s.io/v1beta1"), &json!("SandboxTemplate")));
    let fields: Vec<&str> = template["spec"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["envVarsInjectionPolicy", "networkPolicy", "networkPolicyManagement", "podTemplate"]);
    let policies = tools.objects(&read("deploy/kubernetes/base/gateway/network.yaml"));
    assert_eq!(template["spec"]["networkPolicy"], json!({"egress": object(&policies, "NetworkPolicy", "exeat-agents")["spec"]["egress"]}));
    let agent = &tools.objects(&read(&format!("{FOLDER}/agent.yaml")))[0];
    assert_eq!(pod(template), pod(agent), "the same agent");
}

#[test]
fn the_admission_policies_take_the_examples() {
    let Some(tools) = Tools::find() else { return };
    let all = all(&tools);
    for (topology, example) in [("gateway", "agent.yaml"), ("gateway", "sandbox-template.yaml"), ("sidecar", "agent-sidecar")] {
        let policy = written(&tools.template(topology, &[]));
        let case = json!([{"object": pod(&all[example][0])}]);
        assert_eq!(tools.look(&["admit", policy.path().to_str().unwrap()], &case.to_string()), "[[]]", "{example}");
    }
}

/// What the agent's container is told, by the names of variables.
fn variables(pod: &Value) -> BTreeMap<String, Value> {
    let all = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    all.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one.clone())).collect()
}

#[test]
fn an_agent_has_every_variable_that_env_prints_no_name_service_and_no_token_of_the_cluster() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("exeat.toml");
    fs::write(&config, "state = \"state\"\n[inspect]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\n").unwrap();
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_exeat")).env_clear().arg("--config").arg(&config).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    said(&["ca", "init"]);
    let printed = said(&["env", "--shell", "dotenv", "--url", "http://coder:t@10.96.31.28:3128"]);
    let trust = folder.path().join("state/trust");
    let printed = printed.replace(trust.to_str().unwrap(), "/etc/exeat-trust").replace("http://coder:t@10.96.31.28:3128", "$(HTTPS_PROXY)");
    let pod = pod(&tools.objects(&read(&format!("{FOLDER}/agent.yaml")))[0]);
    let told = variables(&pod);
    assert_eq!(told["HTTPS_PROXY"]["valueFrom"]["secretKeyRef"], json!({"name": "exeat-proxy", "key": "url", "optional": false}));
    for line in printed.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let kept = told.get(name).unwrap_or_else(|| panic!("the example does not have {name}"));
        assert!(name == "HTTPS_PROXY" || kept["value"] == value.trim_matches('\''), "{line}: {kept}");
    }
    assert_eq!(told.len(), printed.lines().count());
    let spec = &pod["spec"];
    assert_eq!((&spec["dnsPolicy"], &spec["dnsConfig"]["nameservers"]), (&json!("None"), &json!(["127.0.0.1"])));
    assert_eq!((&spec["automountServiceAccountToken"], &spec["enableServiceLinks"]), (&json!(false), &json!(false)));
}

#[test]
fn the_sidecar_runs_before_everything_else_and_leads_the_agent_to_itself() {
    let Some(tools) = Tools::find() else { return };
    let pod = pod(&all(&tools)["agent-sidecar"][0]);
    let names: Vec<&str> = pod["spec"]["initContainers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["exeat-redirect", "exeat", "clone"]);
    let told = variables(&pod);
    assert_eq!((&told["HTTPS_PROXY"]["value"], &told["LANG"]["value"]), (&json!("http://127.0.0.1:3128"), &json!("C.UTF-8")));
    assert_eq!(pod["spec"]["containers"][0].get("volumeMounts"), None, "the admin socket is not the agent's");
}

#[test]
fn the_overlay_changes_what_a_site_changes() {
    let Some(tools) = Tools::find() else { return };
    let built = tools.objects(&tools.kustomize(&format!("{FOLDER}/overlay")));
    assert_eq!(object(&built, "Service", "exeat")["spec"]["clusterIP"], "10.43.31.28");
    assert_eq!(object(&built, "Service", "exeat-pods")["spec"]["clusterIP"], "None");
    let set = object(&built, "StatefulSet", "exeat");
    assert_eq!(set["spec"]["template"]["spec"]["containers"][0]["image"], "registry.corp.example/platform/exeat:0.1.0");
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "50Gi");
    let lists: Vec<&String> = object(&built, "ConfigMap", "exeat-allowlists")["data"].as_object().unwrap().keys().collect();
    assert_eq!(lists, ["coder.toml", "tester.toml"]);
    let mut check = Command::new(env!("CARGO_BIN_EXE_exeat"));
    let checked =
        check.env_clear().args(["check", "coder.toml", "tester.toml"]).current_dir(root().join(FOLDER).join("overlay")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}
