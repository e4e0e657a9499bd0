//! Metrics, as they follow records and as they are written out.

#![expect(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::egress::record::{
    Decided, Ended, Front, Millis, Outcome, PolicyInForce, Progress, Record, RefusedCount, RefusedSummary, Sealed,
};
use crate::journal::sample::{decided, ended};

fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
    metrics.page(Format::Text).lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

#[test]
fn a_decision_and_its_end_are_counted_once_each() {
    let metrics = Metrics::new();
    metrics.recorded(&Record::Decided(decided(1)));
    assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 1"]);
    assert_eq!(lines(&metrics, "exeat_tunnels_open"), ["exeat_tunnels_open{agent=\"coder\"} 1"]);
    metrics.recorded(&Record::Ended(ended(1)));
    assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 0"]);
    assert_eq!(lines(&metrics, "exeat_tunnels_open"), ["exeat_tunnels_open{agent=\"coder\"} 0"]);
    let decisions = ["exeat_decisions_total{agent=\"coder\",decision=\"allow\",front=\"connect\",reason=\"listed\"} 1"];
    assert_eq!(lines(&metrics, "exeat_decisions_total"), decisions);
    let bytes = ["exeat_bytes_total{agent=\"coder\",direction=\"down\"} 20", "exeat_bytes_total{agent=\"coder\",direction=\"up\"} 10"];
    assert_eq!(lines(&metrics, "exeat_bytes_total"), bytes);
    assert_eq!(lines(&metrics, "exeat_stage_duration_seconds_count"), ["exeat_stage_duration_seconds_count{stage=\"total\"} 1"]);
}

#[test]
fn what_carries_bytes_is_a_tunnel_and_a_request_is_none_whatever_the_way_in() {
    let request = crate::policy::attempt::RequestLine { method: "GET".into(), path: "/".into() };
    for (front, request, within, wanted) in [
        (Front::Connect, None, None, 1),
        (Front::Transparent, None, None, 1),
        (Front::Transparent, Some(request.clone()), None, 0),
        (Front::Transparent, Some(request.clone()), Some(decided(2).id), 0),
        (Front::Connect, Some(request.clone()), Some(decided(2).id), 0),
        (Front::Forward, Some(request), None, 0),
    ] {
        let metrics = Metrics::new();
        metrics.recorded(&Record::Decided(Decided { front, request, within, ..decided(1) }));
        let open = if wanted == 0 { Vec::new() } else { vec![format!("exeat_tunnels_open{{agent=\"coder\"}} {wanted}")] };
        assert_eq!((front, lines(&metrics, "exeat_tunnels_open")), (front, open));
    }
}

#[test]
fn an_end_without_a_decision_leaves_nothing_below_zero() {
    let metrics = Metrics::new();
    metrics.recorded(&Record::Ended(ended(1)));
    assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 0"]);
}

#[test]
fn an_agent_not_identified_is_a_dash_and_hosts_are_nowhere() {
    let metrics = Metrics::new();
    let record = Decided { agent: None, decision: Ruling::Block, reason: Reason::UnknownAgent, ..decided(1) };
    metrics.recorded(&Record::Decided(record));
    let decisions = ["exeat_decisions_total{agent=\"-\",decision=\"block\",front=\"connect\",reason=\"unknown-agent\"} 1"];
    assert_eq!(lines(&metrics, "exeat_decisions_total"), decisions);
    assert!(!metrics.page(Format::Text).contains("example"), "{}", metrics.page(Format::Text));
}

#[test]
fn a_wait_is_counted_by_what_it_led_to() {
    let cases = [
        (Ruling::Allow, Reason::Approved, Outcome::Failed, Reason::DnsFailed, "approved"),
        (Ruling::Block, Reason::Refused, Outcome::Refused, Reason::Refused, "refused"),
        (Ruling::Block, Reason::Pending, Outcome::Abandoned, Reason::Pending, "abandoned"),
    ];
    for (decision, reason, outcome, why, label) in cases {
        let metrics = Metrics::new();
        metrics.recorded(&Record::Decided(Decided { decision, reason, ..decided(1) }));
        let ms = Millis { hold: Some(1500.0), ..Millis::default() };
        metrics.recorded(&Record::Ended(Ended { outcome, reason: why, ms, ..ended(1) }));
        let sums = [format!("exeat_hold_duration_seconds_sum{{outcome=\"{label}\"}} 1.5")];
        assert_eq!(lines(&metrics, "exeat_hold_duration_seconds_sum"), sums);
    }
}

#[test]
fn only_the_policy_in_force_is_named() {
    let metrics = Metrics::new();
    for (old, new) in [(None, "a"), (Some("a"), "b")] {
        let policy = PolicyInForce { old: old.map(str::to_owned), new: new.to_owned(), who: "start".into(), unread: Vec::new() };
        metrics.recorded(&Record::Policy(policy));
    }
    assert_eq!(lines(&metrics, "exeat_policy_info"), ["exeat_policy_info{hash=\"b\"} 1"]);
}

#[test]
fn what_is_set_or_counted_from_outside_is_shown() {
    let metrics = Metrics::new();
    metrics.set_holds_pending(&BTreeMap::from([(agent("coder"), 3)]));
    metrics.limit_hit("connections");
    metrics.decision_took(Duration::from_millis(2));
    assert_eq!(lines(&metrics, "exeat_holds_pending"), ["exeat_holds_pending{agent=\"coder\"} 3"]);
    assert_eq!(lines(&metrics, "exeat_limit_hits_total"), ["exeat_limit_hits_total{limit=\"connections\"} 1"]);
    assert_eq!(lines(&metrics, "exeat_decision_duration_seconds_sum"), ["exeat_decision_duration_seconds_sum 0.002"]);
    let build = [format!("exeat_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))];
    assert_eq!(lines(&metrics, "exeat_build_info"), build);
}

#[test]
fn bytes_move_with_progress_and_each_is_counted_once() {
    let progress = |up, down| {
        Record::Progress(Progress { id: AttemptId(Uuid::from_u128(1)), agent: Some(agent("coder")), bytes_up: up, bytes_down: down })
    };
    let end = |up, down| Record::Ended(Ended { bytes_up: up, bytes_down: down, ..ended(1) });
    let cases: [(&str, Vec<Record>, [u64; 2]); 6] = [
        ("counted before the end", vec![Record::Decided(decided(1)), progress(5, 50)], [5, 50]),
        ("differences", vec![Record::Decided(decided(1)), progress(5, 50), progress(7, 50)], [7, 50]),
        ("the rest at the end", vec![Record::Decided(decided(1)), progress(5, 50), end(9, 90)], [9, 90]),
        ("an end that knows of less takes nothing back", vec![Record::Decided(decided(1)), progress(5, 50), end(0, 0)], [5, 50]),
        (
            "progress that goes back is counted once",
            vec![Record::Decided(decided(1)), progress(5, 50), progress(1, 1), progress(6, 50)],
            [6, 50],
        ),
        ("of a begin nobody saw the end counts all", vec![progress(5, 50), end(9, 90)], [9, 90]),
    ];
    for (what, records, [up, down]) in cases {
        let metrics = Metrics::new();
        for record in &records {
            metrics.recorded(record);
        }
        let of = |direction: &str, bytes| format!("exeat_bytes_total{{agent=\"coder\",direction=\"{direction}\"}} {bytes}");
        assert_eq!(lines(&metrics, "exeat_bytes_total"), [of("down", down), of("up", up)], "{what}");
    }
}

#[test]
fn refusals_of_a_summary_count_as_if_they_had_been_written_down() {
    let metrics = Metrics::new();
    metrics.recorded(&Record::Decided(Decided { decision: Ruling::Block, reason: Reason::Unlisted, ..decided(1) }));
    let by = vec![
        RefusedCount { reason: Reason::Unlisted, front: Front::Connect, count: 40 },
        RefusedCount { reason: Reason::Overloaded, front: Front::Forward, count: 2 },
        // They were counted when they could not be recorded.
        RefusedCount { reason: Reason::Internal, front: Front::Forward, count: 3 },
    ];
    let (agent, source, from, until) = (Some(agent("coder")), None, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let (hosts, elsewhere) = (Vec::new(), 45);
    for _ in 0..3 {
        metrics.undecidable();
    }
    metrics.recorded(&Record::RefusedSummary(RefusedSummary { agent, source, from, until, count: 45, by, hosts, elsewhere }));
    let counted = [
        "exeat_decisions_total{agent=\"coder\",decision=\"block\",front=\"connect\",reason=\"unlisted\"} 41",
        "exeat_decisions_total{agent=\"coder\",decision=\"block\",front=\"forward\",reason=\"internal\"} 3",
        "exeat_decisions_total{agent=\"coder\",decision=\"block\",front=\"forward\",reason=\"overloaded\"} 2",
    ];
    assert_eq!(lines(&metrics, "exeat_decisions_total"), counted);
    let failed = ["exeat_failed_closed_total{reason=\"internal\"} 3", "exeat_failed_closed_total{reason=\"overloaded\"} 2"];
    assert_eq!(lines(&metrics, "exeat_failed_closed_total"), failed);
    assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 1"]);
}

#[test]
fn only_reasons_of_our_own_fail_closed() {
    for reason in Reason::ALL {
        let metrics = Metrics::new();
        metrics.recorded(&Record::Decided(Decided { decision: Ruling::Block, reason, ..decided(1) }));
        let counts = lines(&metrics, "exeat_failed_closed_total").iter().any(|line| line.ends_with(" 1"));
        assert_eq!(counts, matches!(reason, Reason::Internal | Reason::Overloaded), "{reason}");
    }
    let metrics = Metrics::new();
    metrics.recorded(&Record::Decided(decided(1)));
    metrics.recorded(&Record::Ended(Ended { outcome: Outcome::Refused, reason: Reason::Internal, ..ended(1) }));
    assert!(lines(&metrics, "exeat_failed_closed_total").contains(&"exeat_failed_closed_total{reason=\"internal\"} 1".to_owned()));
    let metrics = Metrics::new();
    metrics.undecidable();
    assert!(lines(&metrics, "exeat_failed_closed_total").contains(&"exeat_failed_closed_total{reason=\"internal\"} 1".to_owned()));
}

#[test]
fn hidden_names_stand_nowhere_and_those_not_identified_stay_apart() {
    let metrics = Metrics::naming(AgentNames::Hidden);
    for (id, name) in [(1, "coder"), (2, "other")] {
        metrics.recorded(&Record::Decided(Decided {
            agent: Some(agent(name)),
            decision: Ruling::Block,
            reason: Reason::Unlisted,
            ..decided(id)
        }));
    }
    metrics.recorded(&Record::Decided(decided(3)));
    metrics.recorded(&Record::Decided(Decided { agent: None, decision: Ruling::Block, reason: Reason::UnknownAgent, ..decided(4) }));
    metrics.set_holds_pending(&BTreeMap::from([(agent("coder"), 2), (agent("other"), 3)]));
    metrics.set_policy_broken(&BTreeSet::from([None, Some(agent("coder")), Some(agent("other"))]));
    metrics.recorded(&Record::Ended(ended(3)));
    for format in [Format::Text, Format::OpenMetrics] {
        let page = metrics.page(format);
        assert!(!page.contains("coder") && !page.contains("other\""), "{page}");
    }
    let decisions = [
        "exeat_decisions_total{agent=\"*\",decision=\"allow\",front=\"connect\",reason=\"listed\"} 1",
        "exeat_decisions_total{agent=\"*\",decision=\"block\",front=\"connect\",reason=\"unlisted\"} 2",
        "exeat_decisions_total{agent=\"-\",decision=\"block\",front=\"connect\",reason=\"unknown-agent\"} 1",
    ];
    assert_eq!(lines(&metrics, "exeat_decisions_total"), decisions);
    assert_eq!(lines(&metrics, "exeat_holds_pending"), ["exeat_holds_pending{agent=\"*\"} 5"]);
    assert_eq!(lines(&metrics, "exeat_tunnels_open"), ["exeat_tunnels_open{agent=\"*\"} 0"]);
    assert_eq!(lines(&metrics, "exeat_policy_broken"), ["exeat_policy_broken{agent=\"*\"} 2", "exeat_policy_broken{agent=\"-\"} 1"]);
}

#[test]
fn a_checkpoint_covers_what_was_written_before_it() {
    let metrics = Metrics::new();
    metrics.recorded(&Record::Decided(decided(1)));
    metrics.recorded(&Record::Ended(ended(1)));
    assert_eq!(lines(&metrics, "exeat_journal_unsealed"), ["exeat_journal_unsealed_records 2"]);
    assert_eq!(lines(&metrics, "exeat_journal_checkpoint"), [""; 0]);
    metrics.recorded(&Record::Sealed(Sealed { size: 3, root: String::new(), note: String::new() }));
    assert_eq!(lines(&metrics, "exeat_journal_unsealed"), ["exeat_journal_unsealed_records 0"]);
    let made = lines(&metrics, "exeat_journal_checkpoint");
    let at: i64 = made[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!((Timestamp::now().as_second() - at).abs() < 60, "{made:?}");
}

#[test]
fn a_refusal_and_a_slow_attempt_are_named_by_their_trace_in_open_metrics_alone() {
    let metrics = Metrics::new();
    let refused = |id| Record::Decided(Decided { decision: Ruling::Block, reason: Reason::Unlisted, ..decided(id) });
    for record in [refused(0xa), refused(0xb), Record::Decided(decided(0xc))] {
        metrics.recorded(&record);
    }
    metrics.added(AttemptId(Uuid::from_u128(0xd)), Ruling::Allow, Duration::from_millis(3));
    metrics.added(AttemptId(Uuid::from_u128(0xe)), Ruling::Allow, Duration::from_secs(9));
    let page = metrics.page(Format::OpenMetrics);
    let with: Vec<&str> = page.lines().filter_map(|line| Some(line.rsplit_once(' ').filter(|_| line.contains(" # {"))?.0)).collect();
    let trace = |id: u128| format!("# {{trace_id=\"{id:032x}\"}}");
    let wanted = [
        format!("exeat_added_duration_seconds_bucket{{decision=\"allow\",le=\"0.005\"}} 1 {} 0.003", trace(0xd)),
        format!("exeat_added_duration_seconds_bucket{{decision=\"allow\",le=\"+Inf\"}} 2 {} 9", trace(0xe)),
        format!("exeat_decisions_total{{agent=\"coder\",decision=\"block\",front=\"connect\",reason=\"unlisted\"}} 2 {} 1", trace(0xb)),
    ];
    assert_eq!(with, wanted);
    assert!(!metrics.page(Format::Text).contains("trace_id"));
}

#[test]
fn every_bucket_of_a_histogram_may_have_the_exemplar_that_is_in_it() {
    let metrics = Metrics::new();
    for (number, bound) in ADDED_BUCKETS.iter().enumerate() {
        metrics.added(AttemptId(Uuid::from_u128(number as u128)), Ruling::Block, Duration::from_secs_f64(*bound));
    }
    let page = metrics.page(Format::OpenMetrics);
    let buckets: Vec<&str> = page.lines().filter(|line| line.starts_with("exeat_added_duration_seconds_bucket")).collect();
    for (number, line) in buckets.iter().take(ADDED_BUCKETS.len()).enumerate() {
        assert!(line.contains(&format!("}} {} # {{trace_id=\"{number:032x}\"}} ", number + 1)), "{line}");
    }
    assert_eq!(buckets.last().map(|line| line.ends_with("le=\"+Inf\"} 13")), Some(true), "{buckets:?}");
}

#[test]
fn open_metrics_names_each_family_once_and_ends_as_it_must() {
    let metrics = Metrics::new();
    metrics.recorded(&Record::Decided(decided(1)));
    metrics.recorded(&Record::Ended(ended(1)));
    let families = metrics.families();
    let page = metrics.page(Format::OpenMetrics);
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    assert_eq!(page.lines().filter(|line| line.starts_with("# TYPE ")).count(), families.len());
    assert!(page.contains("# TYPE exeat_decisions counter\nexeat_decisions_total{"), "{page}");
    assert!(page.contains("# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total "), "{page}");
    assert!(page.contains("exeat_stage_duration_seconds_bucket{stage=\"total\",le=\"1.0\"} 1\n"), "{page}");
    for family in families {
        let counts = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(family.name().ends_with("_total"), counts, "{}", family.name());
    }
}

#[test]
fn the_journals_disk_is_shown_once_it_is_watched() {
    let state = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    assert_eq!(lines(&metrics, "exeat_journal_bytes"), [""; 0]);
    metrics.watch_disk(state.path().to_owned(), Some(1 << 30));
    assert_eq!(lines(&metrics, "exeat_journal_bytes"), ["exeat_journal_bytes 0"]);
    assert_eq!(lines(&metrics, "exeat_journal_max_bytes"), ["exeat_journal_max_bytes 1073741824"]);
    assert_eq!(lines(&metrics, "exeat_journal_free_bytes").len(), 1);
}

#[test]
fn questions_and_answers_are_counted_by_agent_and_kind() {
    use crate::egress::record::{Answer, Answered, Held, Place};
    let metrics = Metrics::new();
    let destination = Place { host: "a.example".to_owned(), port: 443, scheme: None };
    let held = |hold: &str| {
        let hold = hold.to_owned();
        let destination = destination.clone();
        Record::Held(Held {
            id: decided(1).id,
            hold,
            agent: agent("coder"),
            instance: "i".into(),
            destination,
            request: None,
            only: false,
            rule: None,
        })
    };
    let answered = |hold: &str, answer, scope: Option<&str>| {
        Record::Answered(Answered {
            hold: hold.to_owned(),
            approval: None,
            answer,
            approver: "ada".to_owned(),
            approver_kind: "person".to_owned(),
            scope: scope.map(str::to_owned),
            expiry: None,
            note: None,
            agent: agent("coder"),
            destination: destination.clone(),
            request: None,
            waiting: 0,
            of: None,
        })
    };
    for hold in ["one", "two", "three"] {
        metrics.recorded(&held(hold));
    }
    metrics.recorded(&answered("one", Answer::Yes, Some("once")));
    metrics.recorded(&answered("two", Answer::No, None));
    metrics.recorded(&answered("of-before", Answer::Yes, Some("from-the-wire")));
    assert_eq!(lines(&metrics, "exeat_questions_total"), ["exeat_questions_total{agent=\"coder\"} 3"]);
    assert_eq!(
        lines(&metrics, "exeat_answers_total"),
        [
            "exeat_answers_total{agent=\"coder\",answer=\"no\",kind=\"-\"} 1",
            "exeat_answers_total{agent=\"coder\",answer=\"yes\",kind=\"-\"} 1",
            "exeat_answers_total{agent=\"coder\",answer=\"yes\",kind=\"once\"} 1",
        ]
    );
    assert_eq!(lines(&metrics, "exeat_answer_seconds_count"), ["exeat_answer_seconds_count 2"]);
}
