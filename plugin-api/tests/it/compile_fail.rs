//! What authors read when they make a mistake: each message points at their own line.

#[test]
fn mistakes_are_errors_at_the_author_s_line() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
