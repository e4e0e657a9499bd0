//! Programs that forge a token of the neck must not compile, and must fail for the reason they were written for: the compiler's words are pinned.

#[test]
fn no_token_of_the_neck_can_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/forgery/*.rs");
}
