//! Requests that the leak guard is to search.

use super::*;

const GUARD: &str = "[leaks]\nsecrets = [{ env = \"X\" }]\n";

fn request() -> Sight {
    Sight::Seen(Arc::new(crate::policy::attempt::Seen::bare("GET", "/a", None)))
}

#[tokio::test]
async fn a_request_that_was_not_searched_for_what_the_guard_in_force_names_is_refused() {
    let plain = "[[allow]]\nhost = \"api.test.example\"\nport = [8080]\n";
    let (guarded, held) = (format!("{GUARD}{plain}"), format!("{GUARD}found = \"hold\"\n{plain}"));
    let other = guarded.replace("\"X\"", "\"Y\"");
    for (before, after, passes) in [
        (plain, guarded.as_str(), false),
        (&guarded, &guarded, true),
        (&guarded, &held, true),
        (&guarded, &other, false),
        (&guarded, plain, true),
    ] {
        let world = World::new(before);
        let mut claim = claim("api.test.example:8080", request());
        world.gate.leaks(&mut claim);
        world.now_in_force(policy(after));
        assert_eq!(world.gate.admit(claim).await.is_ok(), passes, "{before} {after}");
        let reason = if passes { Reason::Listed } else { Reason::PolicyChanged };
        assert_eq!(world.decided()[0].1, reason, "{before} {after}");
    }
}

#[tokio::test]
async fn a_request_is_read_for_its_search_in_a_seat_of_its_agent_and_unread_where_there_is_none() {
    let world = World::new(&format!("{GUARD}[[allow]]\nhost = \"api.test.example\"\nport = [8080]\n"));
    let mut all: Vec<Claim> = (0..101).map(|_| claim("api.test.example:8080", request())).collect();
    assert_eq!(all.iter_mut().filter_map(|claim| world.gate.leaks(claim)).count(), 100);
    let last = all.pop().unwrap();
    assert!(world.gate.admit(last).await.is_err());
    assert_eq!(world.decided()[0].1, Reason::Overloaded);
    // In the seat it has.
    assert!(world.gate.admit(all.pop().unwrap()).await.is_ok());
}
