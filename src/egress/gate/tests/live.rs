//! What is open is decided again when the policy changes.

use super::*;

#[tokio::test]
async fn what_is_open_goes_on_while_the_policy_admits_it_to_the_same_and_is_told_why_not() {
    let frozen = || policy(WHOLE).with_frozen(crate::policy::Frozen::Everyone);
    let table: [(&str, Policy, Result<(), Reason>); 8] = [
        (ON_PATHS, policy(ON_PATHS), Ok(())),
        (ON_PATHS, policy(WHOLE), Ok(())),
        (ON_PATHS, policy(BLOCKED), Err(Reason::PolicyChanged)),
        (ON_PATHS, policy(""), Err(Reason::PolicyChanged)),
        (ON_PATHS, frozen(), Err(Reason::Frozen)),
        (WHOLE, policy(ON_PATHS), Err(Reason::PolicyChanged)),
        (WHOLE, policy(BLOCKED), Err(Reason::PolicyChanged)),
        (WHOLE, frozen(), Err(Reason::Frozen)),
    ];
    for (at, (before, after, wanted)) in table.into_iter().enumerate() {
        let world = World::new(before);
        let admitted = world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap();
        let mut live = match admitted {
            Admission::Pass(permit) => permit.live,
            Admission::Look(unseen) => unseen.live,
        };
        world.now_in_force(after);
        if let Err(reason) = wanted {
            assert_eq!(live.lost().now_or_never(), Some(reason), "row {at}");
        } else {
            assert_eq!(live.holds(), Ok(()), "row {at}");
            assert_eq!(live.lost().now_or_never(), None, "row {at}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_found_to_carry_requests_goes_on_when_rules_begin_to_look_at_them() {
    for (after, wanted) in [(ON_PATHS, None), (WHOLE, None), (BLOCKED, Some(Reason::PolicyChanged))] {
        let world = World::new(WHOLE);
        let Permit { open, grant: _, live } =
            world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap().passed().unwrap();
        let interception = crate::egress::Interception::plain(open, live);
        world.now_in_force(policy(after));
        assert_eq!(interception.lost().now_or_never(), wanted, "{after}");
    }
}

/// Where there is a CA.
#[tokio::test]
async fn a_tunnel_whose_bytes_are_unseen_is_cut_when_anything_begins_to_look_at_its_requests() {
    let plain = "[[allow]]\nhost = \"api.test.example\"\n";
    let inject = format!("{plain}[[inject]]\nhost = \"api.test.example\"\nheader = \"cookie\"\nvalue = {{ env = \"X\" }}\n");
    let looked = format!("{plain}[[block]]\nhost = \"*.test.example\"\nmethod = \"DELETE\"\n");
    for (after, wanted) in [(plain, None), (inject.as_str(), Some(Reason::PolicyChanged)), (&looked, Some(Reason::PolicyChanged))] {
        let world = World::over(Arc::new(ArcSwap::from_pointee(inspecting(plain))), Arc::new(NoDesk::default()));
        let permit = world.gate.admit(claim("api.test.example:443", Sight::NotYet)).await.unwrap().passed().unwrap();
        let mut live = permit.live;
        world.now_in_force(inspecting(after));
        assert_eq!(live.lost().now_or_never(), wanted, "{after}");
    }
}
