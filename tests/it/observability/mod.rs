//! `deploy/observability`: what it says of a real exeat, in a real Prometheus.

mod prometheus;
mod said;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::proxy::of_kind;
use crate::support::wait::until;
use prometheus::{Prometheus, deployed, is_here};
use traffic::Traffic;

const PATIENCE: Duration = Duration::from_secs(120);

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(deployed("grafana-dashboard.json")).unwrap()).unwrap()
}

/// The dashboard's expressions as Grafana would send them with everything chosen, by the panel's title.
fn of_dashboard() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    };
    let chosen =
        |text: String| ["$instance", "$agent"].iter().fold(text, |text, name| text.replace(name, ".*")).replace("$__rate_interval", "5m");
    let mut all: Vec<_> = panels.flat_map(of_panel).map(|(title, text)| (title, chosen(text))).collect();
    for variable in dashboard["templating"]["list"].as_array().unwrap().iter().filter(|variable| variable["type"] == "query") {
        let query = variable["definition"].as_str().unwrap();
        let (metric, label) = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().split_once(", ").unwrap();
        all.push((format!("variable {}", variable["name"]), format!("count by ({label}) ({metric}{{{label}!=\"\"}})")));
    }
    all
}

/// The expressions of the rules as Prometheus read them; of an alert what it compares, as only trouble makes the whole of it return anything.
fn of_rules(prometheus: &Prometheus) -> Vec<(String, String)> {
    let data = prometheus.api("rules", &[]);
    let rules = data["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    rules
        .map(|rule| (text(rule, "name"), if rule["type"] == "alerting" { compared(&text(rule, "query")) } else { text(rule, "query") }))
        .collect()
}

fn compared(alert: &str) -> String {
    if let Some(inside) = alert.strip_prefix("absent(") {
        return inside.strip_suffix(')').unwrap().to_owned();
    }
    let sign = [" > ", " < ", " == "].into_iter().filter_map(|sign| alert.rfind(sign)).max();
    alert[..sign.unwrap_or_else(|| panic!("an alert that compares nothing: {alert}"))].to_owned()
}

/// Runs `promtool`, feeding it `input`; it must be content.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_alerts_are_valid_and_fire_when_they_should() {
    if is_here() {
        promtool(&["check", "rules", deployed("prometheus-rules.yaml").to_str().unwrap()], "");
        promtool(&["test", "rules", deployed("prometheus-rules.test.yaml").to_str().unwrap()], "");
    }
}

#[test]
fn every_expression_returns_data_and_exemplars_lead_to_attempts() {
    if !is_here() {
        return;
    }
    let traffic = Traffic::start();
    let prometheus = Prometheus::watching(traffic.proxy.watched);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| traffic.go_on(&over, |_| 0));
        let ends = EndOnDrop(&over);
        until("rules that were evaluated", || prometheus.values("exeat:decisions:rate5m").len() == 1);
        let all = of_dashboard().into_iter().chain(of_rules(&prometheus));
        let mut without: BTreeMap<String, String> = all.map(|(name, text)| (text, name)).collect();
        assert!(without.len() > 60, "the real expressions are read: {}", without.len());
        let deadline = Instant::now() + PATIENCE;
        while !without.is_empty() {
            without.retain(|expression, _| prometheus.values(expression).is_empty());
            assert!(without.is_empty() || Instant::now() < deadline, "no data for {without:#?}\n{}", traffic.proxy.metrics());
            thread::sleep(Duration::from_millis(200));
        }
        let alerts = prometheus.api("alerts", &[]);
        assert_eq!(alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing").count(), 0, "{alerts}");
        drop(ends);
    });
    promtool(&["check", "metrics"], &traffic.proxy.metrics());
    exemplars_lead_to_attempts(&traffic, &prometheus);
    draw(&traffic, &prometheus);
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn exemplars_lead_to_attempts(traffic: &Traffic, prometheus: &Prometheus) {
    let records = traffic.proxy.journal();
    let attempts: BTreeSet<String> =
        of_kind(&records, "decided").iter().map(|record| record["id"].as_str().unwrap().replace('-', "")).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (start, end) = ((now - 600).to_string(), (now + 600).to_string());
    for query in ["exeat_decisions_total{decision=\"block\"}", "exeat_added_duration_seconds_bucket", "exeat_stage_duration_seconds_bucket"]
    {
        let data = prometheus.api("query_exemplars", &[("query", query), ("start", &start), ("end", &end)]);
        let series = data.as_array().unwrap().iter().flat_map(|series| series["exemplars"].as_array().unwrap());
        let traces: Vec<&str> = series.map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap()).collect();
        assert!(!traces.is_empty(), "{query} has none");
        assert!(traces.iter().all(|trace| attempts.contains(*trace)), "{query}: {traces:?}");
    }
}

/// Draws the dashboard if `EXEAT_DASHBOARD` names a Python that has matplotlib, after that many seconds more as `EXEAT_DASHBOARD_SECONDS` says.
fn draw(traffic: &Traffic, prometheus: &Prometheus) {
    let Some(python) = std::env::var_os("EXEAT_DASHBOARD") else { return };
    let seconds = std::env::var("EXEAT_DASHBOARD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(180);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| traffic.go_on(&over, |round| 60 + 7 * round % 300));
        thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Release);
    });
    let picture = deployed("../../docs/dashboard.png");
    let drawn = Command::new(python).arg(deployed("draw.py")).arg(prometheus.url()).arg(picture).arg(seconds.to_string()).status().unwrap();
    assert!(drawn.success());
}

#[test]
fn the_dashboard_fits_its_grid_and_says_what_each_panel_is() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut cells = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (place("x")..place("x") + place("w")).flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y))) {
            assert!(x < 24 && cells.insert((x, y)), "{} lies on another panel or beside the grid", panel["title"]);
        }
        if panel["type"] != "row" {
            let said = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
            assert!(said(&panel["title"]) && said(&panel["description"]), "{panel}");
            assert!(said(&panel["fieldConfig"]["defaults"]["unit"]), "{} has no unit", panel["title"]);
        }
    }
    let of = |key: &str| panels.iter().map(|panel| panel[key].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((of("id"), of("title")), (panels.len(), panels.len()));
}

#[test]
fn every_metric_that_is_used_or_exported_is_documented() {
    let page = fs::read_to_string(deployed("../../docs/reference/metrics.md")).unwrap();
    let exported = Traffic::start().proxy.metrics();
    let exported = exported.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned);
    let used = ["grafana-dashboard.json", "prometheus-rules.yaml"].map(|name| fs::read_to_string(deployed(name)).unwrap()).join("\n");
    let words = used.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    let used = words.filter(|word| (word.starts_with("exeat_") || word.starts_with("process_")) && !word.contains(':'));
    let names: BTreeSet<String> = used.map(str::to_owned).chain(exported).collect();
    assert!(names.len() > 25, "{names:?}");
    let family = |name: &str| ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned();
    let missing: Vec<String> = names.iter().map(|name| family(name)).filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
    assert_eq!(missing, [""; 0]);
}
