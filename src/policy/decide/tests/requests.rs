//! Rules that look at requests.

use super::*;

const REQUESTS: &str = r#"[[allow]]
host = "api.example.com"
port = 80
method = ["GET", "HEAD"]
path = ["/repos/acme/**", "/user"]
[[allow]]
host = "git.example.com"
port = 80
query = { service = ["git-upload-pack"] }
[[hold]]
host = "api.example.com"
port = 80
path = "/repos/acme/secret/**"
[[block]]
host = "*.example.com"
port = 80
method = "DELETE"
"#;

#[test]
fn request_rules_look_at_method_path_and_query() {
    table(
        &policy(REQUESTS),
        &[
            ("GET http://api.example.com/repos/acme/x", "allow a.toml:2"),
            ("HEAD http://api.example.com/user?x=1", "allow a.toml:2"),
            ("GET http://api.example.com/repos/%61cme/./x", "allow a.toml:2"),
            ("GET http://api.example.com/repos/acme/../other/x", "unlisted a.toml:2"),
            ("GET http://api.example.com/repos/acme", "unlisted a.toml:2"),
            ("POST http://api.example.com/repos/acme/x", "unlisted a.toml:2"),
            ("GET http://api.example.com/repos/acme/secret/x", "hold a.toml:11 this"),
            ("POST http://api.example.com/REPOS/acme/Secret/x", "hold a.toml:11 this"),
            ("DELETE http://api.example.com/repos/acme/x", "blocked a.toml:15"),
            ("GET http://git.example.com/x/info/refs?service=git-upload-pack", "allow a.toml:7"),
            ("GET http://git.example.com/x/info/refs?service=git-receive-pack", "unlisted a.toml:7"),
            ("GET http://git.example.com/x?service=git-upload-pack&service=git-receive-pack", "unlisted a.toml:7"),
            ("GET http://git.example.com/x/info/refs", "unlisted a.toml:7"),
        ],
    );
}

#[test]
fn a_tunnel_to_where_requests_are_judged_is_looked_into() {
    let text = format!("{REQUESTS}[[allow]]\nhost = \"plain.example.com\"\nport = 8080\n[[block]]\nhost = \"x.example.com\"\n");
    table(
        &policy(&text),
        &[
            ("CONNECT api.example.com:80", "look a.toml:2"),
            ("CONNECT other.example.com:80", "look a.toml:15"),
            ("CONNECT plain.example.com:8080", "allow a.toml:19"),
            ("CONNECT api.example.com:443", "unlisted a.toml:2"),
            ("CONNECT x.example.com:80", "blocked a.toml:22"),
            ("CONNECT example.org:80", "unlisted"),
        ],
    );
}

#[test]
fn a_path_that_servers_read_in_two_ways_is_blocked_where_a_rule_looks_at_paths() {
    let policy = policy(
        "[[allow]]\nhost = [\"a.example.com\", \"b.example.com\"]\nport = 80\n[[block]]\nhost = \"a.example.com\"\nport = 80\npath = \"/admin/**\"\n",
    );
    for path in ["/x/%2e%2e/admin/", "/x%2fadmin", "/admin;v=1/x", "//admin/x", "/x\\..\\admin", "/x/..;/admin"] {
        assert_eq!(decided_at(&policy, &attempt(&format!("GET http://a.example.com{path}")), NOW), "blocked a.toml:5", "{path}");
        assert_eq!(decided_at(&policy, &attempt(&format!("GET http://b.example.com{path}")), NOW), "allow a.toml:2", "{path}");
    }
    assert_eq!(decided_at(&policy, &attempt("GET http://a.example.com/x/../Admin/x"), NOW), "blocked a.toml:5");
    let Decision::Allow(grant) = policy.decide(&attempt("GET http://a.example.com/x"), &Approvals::default(), NOW) else {
        panic!("an allow")
    };
    assert!(grant.normal_path());
    let Decision::Allow(grant) = policy.decide(&attempt("GET http://b.example.com/x"), &Approvals::default(), NOW) else {
        panic!("an allow")
    };
    assert!(!grant.normal_path());
}

#[test]
fn fields_that_rewrite_the_request_are_blocked_where_a_rule_looks_at_it() {
    let rewriting = |tried: &str| seen(|seen| seen.rewrites = true, tried);
    let policy =
        policy("[[allow]]\nhost = \"a.example.com\"\nport = 80\nmethod = \"GET\"\n[[allow]]\nhost = \"b.example.com\"\nport = 80\n");
    assert_eq!(decided_at(&policy, &rewriting("GET http://a.example.com/"), NOW), "blocked a.toml:2");
    assert_eq!(decided_at(&policy, &rewriting("GET http://b.example.com/"), NOW), "allow a.toml:6");
}

#[test]
fn a_rule_that_lists_methods_lets_no_content_pass_with_a_safe_one() {
    let with_content = |tried: &str| seen(|seen| seen.content = true, tried);
    let rules = "[[allow]]\nhost = \"a.example.com\"\nport = 80\nmethod = [\"GET\", \"POST\"]\n";
    let one = policy(&format!("unlisted = \"hold\"\n{rules}"));
    assert_eq!(decided_at(&one, &with_content("GET http://a.example.com/"), NOW), "blocked a.toml:3");
    assert_eq!(decided_at(&one, &with_content("POST http://a.example.com/"), NOW), "allow a.toml:3");
    let two = policy(&format!("{rules}[[allow]]\nhost = \"a.example.com\"\nport = 80\n"));
    assert_eq!(decided_at(&two, &with_content("GET http://a.example.com/"), NOW), "allow a.toml:6");
}

#[test]
fn a_websocket_passes_by_a_rule_that_says_so_of_those_that_name_the_host_as_exactly() {
    let upgrading = |tried: &str| seen(|seen| seen.websocket = true, tried);
    let policy = policy(
        "[[allow]]\nhost = [\"a.example.com\", \"b.example.org\"]\nlimits = { open = 1 }\n[[allow]]\nhost = \"*.example.com\"\nwebsocket = true\n[[allow]]\nhost = \"b.example.org\"\nwebsocket = true\n",
    );
    for (attempt, wanted, websocket) in [
        (upgrading("GET http://a.example.com/"), "allow a.toml:2", false),
        (upgrading("GET http://c.example.com/"), "allow a.toml:5", true),
        (upgrading("GET http://b.example.org/"), "allow a.toml:8", true),
        (attempt("GET http://b.example.org/"), "allow a.toml:2", false),
    ] {
        let decision = policy.decide(&attempt, &Approvals::default(), NOW);
        assert_eq!(word(&decision), wanted);
        assert!(matches!(decision, Decision::Allow(grant) if grant.websocket() == websocket), "{wanted}");
    }
}

#[test]
fn however_a_path_is_spelled_it_is_one_question() {
    let policy = policy("unlisted = \"hold\"\n[[hold]]\nhost = \"a.example.com\"\nport = 80\nmethod = \"GET\"\n");
    let mut no = Approvals::default();
    no.silence(Subject::asked(&attempt("GET http://a.example.com/x/y"), Asking::ThisRequest), NOW + HOUR);
    let yes = yes("GET http://a.example.com/x/y", Asking::ThisRequest, Scope::Always);
    for (tried, refused, passed) in [
        ("GET http://a.example.com/x/./y", "quiet a.toml:3", "approved"),
        ("GET http://a.example.com/x/%79", "quiet a.toml:3", "approved"),
        ("GET http://a.example.com/x//y", "hold a.toml:3 this", "hold a.toml:3 this"),
        ("GET http://a.example.com/x/y/", "hold a.toml:3 this", "hold a.toml:3 this"),
    ] {
        assert_eq!(word(&policy.decide(&attempt(tried), &no, NOW)), refused, "{tried}");
        let decision = policy.decide(&attempt(tried), &yes, NOW);
        assert_eq!(word(&decision), passed, "{tried}");
        assert!(!matches!(decision, Decision::Allow(grant) if !grant.normal_path()), "what was asked about is what is forwarded");
    }
}
