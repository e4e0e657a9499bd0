//! A front cannot say who asks: it gives evidence, or claims through the tunnel the request was found in.
use exeat::egress::Claim;
use exeat::policy::attempt::AgentId;

fn pretend(claim: Claim, agent: AgentId) -> Claim {
    Claim { who: agent, ..claim }
}

fn main() {
    let _ = pretend;
}
