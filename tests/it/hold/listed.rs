//! `exeat holds` on terminals: fitted to their width, and nothing of a question is left out.

use super::{ask, knock};
use crate::support::p0::{P0, assert_refused};
use crate::support::proxy::exeat;
use crate::support::pty::Terminal;

#[test]
fn questions_fit_the_terminal_and_say_as_much_as_in_a_pipe() {
    let p0 = P0::new();
    let proxy = p0.start();
    let deep = format!("{}.{}.under.long.test", "a".repeat(50), "b".repeat(50));
    for host in ["x.evil.test", "xn--80a0aae2bcbl.test", &deep] {
        assert_refused(&ask(&p0, &proxy, host).answer(), 403, "unattended");
    }
    assert_refused(&knock(&p0, &proxy, "nbswy3dpeb3w64tmmq.evil.test").answer(), 403, "unattended");
    let config = p0.site.config();
    let piped = exeat(Some(&config)).arg("holds").output().unwrap();
    let piped = String::from_utf8(piped.stdout).unwrap();
    assert!(piped.lines().count() == 4 && piped.lines().all(|line| line.len() > 120), "{piped}");
    assert!(piped.contains(&format!("{deep}:")) && piped.contains("xn--80a0aae2bcbl.test:"), "{piped}");
    for columns in [80, 120] {
        let argv = [env!("CARGO_BIN_EXE_exeat"), "--config", config.to_str().unwrap(), "holds"];
        let (code, shown) = Terminal::run_within(columns, &argv, p0.site.path(), &[]).end();
        assert_eq!(code, 0, "{shown}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&piped), "{columns}: {shown}");
        for line in shown.lines() {
            let fits = line.chars().count() <= usize::from(columns) || line.split_whitespace().count() == 1;
            assert!(fits, "{columns}: {line}");
        }
        let begin = shown.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(begin, 4, "{columns}: {shown}");
    }
}
