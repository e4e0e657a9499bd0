//! `exeat schema`: the JSON Schema (2020-12) of each kind of file, for editors.
//!
//! It says what a file may hold, not all that makes it load: `exeat check` does. A test holds the keys against those the readers know.

mod leaks;

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

/// Which file.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum, default_value = "allowlist")]
    of: SchemaOf,
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The configuration, exeat.toml
    Exeat,
    /// An agent's allowlist
    Allowlist,
    /// A file that allowlists include
    Include,
    /// The floor, floor.toml
    Floor,
    /// The rules that `[leaks]` of an allowlist names
    Leaks,
}

/// Prints the schema.
pub fn write(args: &SchemaArgs, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &schema(args.of))?;
    writeln!(out)
}

/// The schema of one kind of file.
pub fn schema(of: SchemaOf) -> Value {
    let (title, mut table) = match of {
        SchemaOf::Exeat => ("exeat.toml, the configuration of exeat", exeat()),
        SchemaOf::Allowlist => ("An allowlist of exeat: one agent's rules", allowlist()),
        SchemaOf::Include => ("Rules that allowlists of exeat include", include()),
        SchemaOf::Leaks => ("Rules of exeat's leak guard", leaks::rules()),
        SchemaOf::Floor => ("floor.toml of exeat: what binds every agent", floor()),
    };
    if let Some(fields) = table.as_object_mut() {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".to_owned(), json!(title));
    }
    table
}

type Key = (&'static str, Value, &'static str);

fn table(required: &[&str], keys: Vec<Key>) -> Value {
    let described = |(key, mut value, words): Key| {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("description".to_owned(), json!(words));
        }
        (key.to_owned(), value)
    };
    let properties: Map<String, Value> = keys.into_iter().map(described).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn list(of: &Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// One, or a list that is not empty.
fn some(of: &Value) -> Value {
    json!({ "anyOf": [of, { "type": "array", "items": of, "minItems": 1 }] })
}

/// One, or a list that may be empty.
fn any(of: &Value) -> Value {
    json!({ "anyOf": [of, list(of)] })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn words() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 500 })
}

fn one_of(choices: &[&str]) -> Value {
    json!({ "enum": choices })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn number(most: u32) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": most })
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
}

fn size() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" })
}

/// Also a date or time of TOML, which editors show to a schema as a text.
fn moment() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" })
}

fn agent() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9-]{1,63}$" })
}

fn limits_of_policy() -> Value {
    let keys = vec![
        ("open", number(100_000), "Attempts that may be open at once."),
        ("per_minute", number(100_000), "Attempts that may begin within any 60 seconds."),
        ("bytes_per_day", size(), "Bytes that may pass within a day of UTC, both ways together."),
    ];
    table(&[], keys)
}

/// What every rule may have.
fn of_every_rule() -> Vec<Key> {
    vec![
        ("host", some(&text()), "Which hosts: names, patterns, addresses, networks."),
        ("port", some(&number(65_535)), "Which ports. Without it: 80 and 443; in [[block]] every port."),
        ("method", some(&text()), "Which methods. The host is inspected."),
        ("path", some(&text()), "Which paths: `*` within a segment, `**` across."),
        (
            "query",
            json!({ "type": "object", "additionalProperties": some(&text()), "minProperties": 1 }),
            "Names of the query and the values each may have.",
        ),
        ("until", moment(), "It says nothing from then on."),
        ("note", words(), "Words for people."),
    ]
}

fn rule(more: Vec<Key>) -> Value {
    list(&table(&["host"], of_every_rule().into_iter().chain(more).collect()))
}

fn shared_ok() -> Key {
    ("shared_ok", words(), "Why a wildcard over shared hosting is meant.")
}

fn addresses() -> Key {
    ("addresses", some(&text()), "What the host may resolve to: \"public\", addresses, networks.")
}

fn allow() -> Key {
    let keys = vec![
        addresses(),
        ("opaque", flag(), "The tunnel is neither TLS nor HTTP."),
        ("exclude", flag(), "The host is never inspected."),
        ("websocket", flag(), "A request may turn its connection into a WebSocket."),
        ("limits", limits_of_policy(), "Bounds what passes by this rule."),
        shared_ok(),
    ];
    ("allow", rule(keys), "Lets pass.")
}

fn hold(more: Vec<Key>) -> Key {
    ("hold", rule(more), "Asks a person, even where an allow rule matches.")
}

fn block() -> Key {
    ("block", rule(vec![("because", words(), "Told to the agent with the refusal.")]), "Refuses.")
}

fn of_files_with_rules() -> Vec<Key> {
    let expectation = table(
        &["try", "decision"],
        vec![
            ("try", text(), "[METHOD] URL, or CONNECT HOST:PORT."),
            ("decision", one_of(&["allow", "look", "hold", "block"]), "What it is to get."),
        ],
    );
    vec![
        ("include", any(&text()), "Files beside this one by name, and presets as preset:NAME."),
        allow(),
        hold(vec![addresses(), shared_ok()]),
        block(),
        ("expect", list(&expectation), "What the rules are to decide; a file whose expectations fail does not load."),
    ]
}

fn allowlist() -> Value {
    let identify = json!({
        "type": "object", "minProperties": 1, "additionalProperties": false,
        "properties": {
            "token": { "type": "string", "pattern": "^sha256:[0-9a-fA-F]{64}$", "description": "As `exeat token AGENT --hash` prints it." },
            "source": { "type": "string", "description": "The address or network of the peer." },
            "listener": { "type": "string", "description": "The listener's name in exeat.toml." },
        },
    });
    let mut keys = vec![
        ("agent", agent(), "Whose allowlist it is."),
        ("unlisted", one_of(&["block", "hold"]), "What a destination gets that no rule lists."),
        ("addresses", some(&text()), "What such a destination may resolve to once approved."),
        ("observe_until", moment(), "Until then what is unlisted or held passes and is recorded; 14 days at most."),
        ("limits", limits_of_policy(), "Bounds the agent as a whole."),
        ("approvers", number(9), "How many people have to say yes."),
        ("identify", list(&identify), "How the agent is known: any one of these tables."),
        ("inject", list(&inject()), "Credentials that exeat puts into requests."),
        ("leaks", leaks::guard(), "What requests are searched for before they leave."),
    ];
    keys.extend(of_files_with_rules());
    table(&["agent"], keys)
}

fn secret_source() -> Value {
    table(
        &[],
        vec![
            ("env", text(), "A variable of exeat's own environment."),
            ("file", text(), "A file, read again when it changes."),
            ("command", some(&text()), "A program and its arguments; no shell."),
            ("cache", duration(), "How long what the command printed is used."),
        ],
    )
}

fn inject() -> Value {
    let certificate =
        table(&["chain", "key"], vec![("chain", text(), "The certificates, a PEM file."), ("key", text(), "Its key, a PEM file.")]);
    let query = json!({ "type": "object", "additionalProperties": some(&text()), "minProperties": 1 });
    let keys = vec![
        ("host", text(), "The one host it is for."),
        ("port", number(65_535), "The one port: 443 where none is named."),
        ("scheme", one_of(&["https", "http"]), "`http` only to a loopback address."),
        ("method", some(&text()), "Which requests: their methods."),
        ("path", some(&text()), "Which requests: their paths."),
        ("query", query, "Which requests: names of the query and the values each may have."),
        ("mask", flag(), "The value is masked where an answer repeats it."),
        ("certificate", certificate, "A client certificate for TLS."),
        ("header", text(), "The header field it is put into."),
        ("value", secret_source(), "Where the secret comes from."),
        ("placeholder", text(), "The text in the agent's own field that the secret takes the place of."),
        ("prefix", text(), "What stands before the secret in the field."),
    ];
    table(&["host"], keys)
}

fn include() -> Value {
    let mut keys = vec![
        ("title", words(), "What it is for."),
        ("risk", words(), "What it opens beside that."),
        ("source", any(&words()), "Where the hosts were taken from."),
        ("checked", moment(), "When they were last compared with it."),
    ];
    keys.extend(of_files_with_rules());
    table(&[], keys)
}

fn floor() -> Value {
    let keys = vec![
        ("private", any(&text()), "The only networks beside \"public\" that `addresses` may open."),
        ("forbid", some(&one_of(&["observe", "opaque", "always"])), "What no allowlist and no person may do."),
        ("max_for", duration(), "The longest a yes may last."),
        ("approvers", number(9), "How many people have to say yes at least."),
        ("limits", limits_of_policy(), "Bounds each agent, beside its own."),
        hold(vec![shared_ok()]),
        block(),
    ];
    table(&[], keys)
}

fn journal() -> Vec<Key> {
    vec![
        ("durability", one_of(&["process", "disk"]), "What a record outlives before it takes effect: a kill, or a power failure."),
        ("segment", size(), "The bytes after which a segment is closed."),
        ("keep", duration(), "How long segments are kept."),
        ("max", size(), "The bytes all segments may have."),
        ("checkpoints", text(), "A folder to which checkpoints are appended as well."),
    ]
}

fn telemetry() -> Vec<Key> {
    let webhook = vec![
        ("url", text(), "Where batches of records are posted."),
        ("secret_file", text(), "The file of the secret that signs them."),
        ("ca", text(), "Certificate authorities beside the system's, PEM."),
    ];
    vec![
        ("otlp", text(), "The URL of an OpenTelemetry collector."),
        ("protocol", one_of(&["grpc", "http/protobuf"]), "How it is spoken to."),
        ("headers_file", text(), "A file of `name: value` lines that go along."),
        ("ca", text(), "Certificate authorities beside the system's, PEM."),
        ("sample", json!({ "type": "string", "pattern": "^[0-9.]+%$" }), "The share of allowed attempts that are traced."),
        ("metrics", text(), "How often metrics are pushed, or \"off\"."),
        ("stdout", flag(), "Records go to standard output."),
        ("agent_label", one_of(&["agent", "off"]), "Whether metrics name agents."),
        ("webhook", table(&["url", "secret_file"], webhook), "Who is posted batches of records."),
        ("ocsf", table(&["file"], vec![("file", text(), "The file of OCSF events.")]), "Events for a SIEM."),
    ]
}

fn admin() -> Value {
    let keys = vec![
        ("address", text(), "Where page and API are served: ip:port."),
        ("hosts", any(&text()), "Names by which browsers may know it: host or host:port."),
    ];
    table(&[], keys)
}

fn inspect() -> Value {
    let keys = vec![
        ("ca_cert", text(), "The certificate, or several, in PEM."),
        ("ca_key", text(), "Its private key in PEM, its reader's alone."),
    ];
    table(&["ca_cert", "ca_key"], keys)
}

fn dns() -> Vec<Key> {
    vec![
        ("servers", any(&text()), "Name servers: ip or ip:port. Without them: the system's."),
        ("timeout", duration(), "How long a look-up may take."),
    ]
}

fn drain() -> Vec<Key> {
    vec![("time", duration(), "How long what is open may go on."), ("notice", duration(), "How long it still accepts before that.")]
}

fn exeat() -> Value {
    let million = 1_000_000;
    let listener = vec![
        ("address", some(&text()), "Where it listens: ip:port."),
        ("agent", agent(), "Everyone here is this agent."),
        ("known_as", any(&text()), "Other names and addresses of this listener: never dialled."),
        ("transparent", flag(), "It takes connections that were redirected to it, and no others. Linux only."),
    ];
    let listen = json!({ "type": "object", "additionalProperties": false, "patternProperties": { "^[a-z0-9-]{1,63}$": table(&["address"], listener) } });
    let hold = vec![
        ("wait", duration(), "How long an attempt waits for an answer."),
        ("pending", duration(), "How long a question lives."),
        ("per_agent", number(million), "Questions of one agent that may be pending."),
        ("per_source", number(million), "Questions of one running instance of an agent that may be pending."),
        ("total", number(million), "Questions that may be pending in all."),
        ("quiet_after_deny", duration(), "How long the same question is not asked again after a no."),
    ];
    let limits = vec![
        ("head", size(), "Bytes of a request head."),
        ("head_timeout", duration(), "Time for a whole head."),
        ("connect_timeout", duration(), "Time to connect to a destination."),
        ("idle", duration(), "How long a tunnel may carry nothing."),
        ("peek", duration(), "How long a tunnel's first bytes are waited for."),
        ("connections", number(million), "Connections in all."),
        ("per_agent", number(million), "Attempts of one agent open at once."),
        ("per_source", number(million), "Connections of one source before it is identified."),
        ("refusal_records", json!({ "type": "string", "pattern": "^[0-9]+/s$" }), "Refusals written down one by one; more are summarised."),
    ];
    table(
        &[],
        vec![
            ("allowlists", text(), "The folder of allowlists."),
            ("floor", text(), "The floor, where it is not floor.toml in that folder."),
            ("state", text(), "The folder of journal, tokens and sockets."),
            ("listen", listen, "The listeners, [listen.NAME]."),
            ("admin", admin(), "Page and API for people."),
            (
                "metrics",
                table(&["address"], vec![("address", text(), "Where /metrics, /livez and /readyz are: ip:port.")]),
                "Metrics and health.",
            ),
            ("drain", table(&[], drain()), "How exeat ends when it is told to."),
            ("hold", table(&[], hold), "How questions wait."),
            ("dns", table(&[], dns()), "Who is asked for names."),
            ("inspect", inspect(), "The certificate authority that exeat looks inside TLS with."),
            (
                "upstream",
                table(&[], vec![("ca", text(), "Authorities beside the system's that origins are believed by, in PEM.")]),
                "The way to origins.",
            ),
            ("guard", table(&[], vec![("never", any(&text()), "Addresses and networks that are never dialled.")]), "What no rule opens."),
            ("limits", table(&[], limits), "What everything is bounded by."),
            ("journal", table(&[], journal()), "How records are kept."),
            (
                "store",
                table(&[], vec![("url", one_of(&["sqlite"]), "Where questions and approvals are kept: in `state`.")]),
                "Where approvals are kept.",
            ),
            ("telemetry", table(&[], telemetry()), "Where records and metrics are exported."),
        ],
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
