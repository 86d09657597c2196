//! Scripts of our own: what a comparison with upstream showed and its own scripts do not ask.

use conformance::promqltest::run_script;

#[test]
fn vectors_meet() {
    let report = run_script("vectors_meet", include_str!("scripts/vectors_meet.test"));
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.passed, 9, "a command of the script was not read");
}
