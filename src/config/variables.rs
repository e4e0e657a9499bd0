//! `EXEAT_SECTION_KEY` variables: each is read as the document it stands for, by the readers of the file.
//!
//! A variable that names no key is a fault, because the one who set it meant something.

use crate::policy::document::Document;
use crate::policy::fault::Fault;

use super::draft::Draft;
use super::find::Surroundings;
use super::read::{self, Origin};

/// Keys that hold whole numbers; every other value is a text.
const NUMBERS: &[&str] = &["per_agent", "total", "connections", "per_source"];
/// Keys that hold lists, by their section; a variable separates their elements by commas.
const LISTS: &[(&str, &str)] = &[("listen", "address"), ("listen", "known_as"), ("dns", "servers"), ("guard", "never")];
/// Keys that are true or false.
const FLAGS: &[(&str, &str)] = &[("telemetry", "stdout"), ("listen", "transparent")];
/// Tables within `[telemetry]`.
const OF_TELEMETRY: &[&str] = &["webhook", "ocsf"];
const OF_LISTENERS: &[&str] = &["address", "agent", "known_as", "transparent"];

/// Lays every variable over the draft; the faults name the variable.
pub(super) fn apply(surroundings: &Surroundings, draft: &mut Draft) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (variable, value) in &surroundings.keys {
        let origin = Origin { name: variable.as_str().into(), base: None, home: surroundings.home.as_deref() };
        let text = document(variable, value);
        let document = Document::parse(variable, &text);
        read::read(document.root(), &origin, draft);
        faults.extend(document.into_findings().0.into_iter().map(|fault| Fault { line: 0, column: 0, ..fault }));
    }
    faults
}

fn document(variable: &str, value: &str) -> String {
    let name = variable.trim_start_matches("EXEAT_").to_ascii_lowercase();
    let Some((section, key)) = name.split_once('_') else { return line("", &name, value) };
    if let Some((table, key)) = key.split_once('_').filter(|(table, _)| section == "telemetry" && OF_TELEMETRY.contains(table)) {
        return format!("[telemetry.{table}]\n{}", line(section, key, value));
    }
    if section != "listen" {
        return format!("[{}]\n{}", quoted(section), line(section, key, value));
    }
    let of_listener = OF_LISTENERS.iter().find_map(|of| Some((key.strip_suffix(of)?.strip_suffix('_')?, *of)));
    let (listener, key) = of_listener.or_else(|| key.split_once('_')).unwrap_or((key, "key"));
    format!("[listen.{}]\n{}", quoted(&listener.replace('_', "-")), line(section, key, value))
}

fn line(section: &str, key: &str, value: &str) -> String {
    let number = NUMBERS.contains(&key) && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let flag = FLAGS.contains(&(section, key)) && matches!(value, "true" | "false");
    let value = if flag || number && (value == "0" || !value.starts_with('0')) {
        value.to_owned()
    } else if LISTS.contains(&(section, key)) {
        let elements = value.split(',').map(str::trim).filter(|element| !element.is_empty());
        format!("[{}]", elements.map(quoted).collect::<Vec<_>>().join(", "))
    } else {
        quoted(value)
    };
    format!("{} = {value}\n", quoted(key))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
