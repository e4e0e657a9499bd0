//! What is judged of a leak guard beside the agent's rules.

use crate::policy::allowlist::Allowlist;
use crate::policy::fault::{Warning, code};
use crate::policy::rule::{Effect, Rule};

/// Rules that let pass what the guard does not see.
pub(in crate::policy) fn second_looks(allowlist: &Allowlist) -> Vec<Warning> {
    let sockets = |rule: &&Rule| match &rule.effect {
        Effect::Allow(allow) => allow.websocket,
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => false,
    };
    let Some(guard) = &allowlist.leaks else { return Vec::new() };
    let text = format!("websocket = true, and [leaks] ({}) does not see what passes in a WebSocket", guard.place);
    let warning = |rule: &Rule| Warning {
        file: rule.place.file.clone(),
        line: rule.place.line,
        column: 1,
        code: code::UNSEARCHED_WEBSOCKET,
        text: text.clone(),
    };
    allowlist.rules.iter().filter(sockets).map(warning).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_of_an_agent_whose_requests_are_searched_gets_a_second_look() {
        let guard = "[leaks]\nsecrets = [{ env = \"X\" }]\n";
        let socket = "[[allow]]\nhost = \"x.example\"\nport = 80\nwebsocket = true\n";
        let plain = "[[allow]]\nhost = \"x.example\"\n";
        for (text, wanted) in [(format!("{guard}{socket}"), vec![4]), (socket.to_owned(), vec![]), (format!("{guard}{plain}"), vec![])] {
            let (_, warnings) = Allowlist::parse("a.toml", &format!("agent = \"a\"\n{text}")).unwrap();
            let of_sockets = warnings.iter().filter(|warning| warning.code == code::UNSEARCHED_WEBSOCKET);
            assert_eq!(of_sockets.map(|warning| warning.line).collect::<Vec<_>>(), wanted, "{text}");
        }
    }
}
