//! Texts without bound are refused within a bounded stack.

use query::parse::cursor::{DEPTH_MAX, HEIGHT_MAX, TEXT_BYTES_MAX};
use query::parse::options::Options;
use query::parse::parse;

/// What Rust gives a thread by default.
const STACK_BYTES: usize = 2 << 20;

/// Parses, prints and drops on a stack of 2 MiB: the error, or "" for a tree.
fn outcome(text: String) -> String {
    let run = move || match parse(&text, &Options::ALL) {
        Ok(expr) => {
            let printed = expr.clone().to_string();
            let _ = query::print::pretty::pretty(&expr, 10);
            let again = parse(&printed, &Options::ALL).expect("what is printed parses");
            assert_eq!(again.to_string(), printed);
            String::new()
        }
        Err(errors) => errors.to_string(),
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.expect("start a thread").join().expect("no panic, no overflow")
}

#[track_caller]
fn check(text: String, fault: &str) {
    let outcome = outcome(text);
    assert!(outcome.contains(fault) && outcome.is_empty() == fault.is_empty(), "{outcome}");
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn c1_nesting_is_bounded() {
    let allowed = DEPTH_MAX as usize - 1;
    for (open, close) in [("(", ")"), ("vector(", ")"), ("-x*-sum(", ")")] {
        check(nested(open, close, 5_000), "expression nests deeper than");
    }
    check(nested("(", ")", allowed), "");
    check(nested("(", ")", allowed + 1), "expression nests deeper than 400 levels");
    check(format!("x{}", "[1h:1m]".repeat(HEIGHT_MAX as usize + 1)), "expression is a chain");
    check(format!("x[{}]", nested("(", ")", 5_000)), "expression nests deeper than");
    check("-".repeat(5_000) + "1", "expression nests deeper than");
    check("{".repeat(5_000), "unexpected left brace");
}

#[test]
fn c1_chains_are_bounded() {
    let chain = |links: usize| format!("x{}", " or x".repeat(links));
    check(chain(HEIGHT_MAX as usize - 1), "");
    check(chain(HEIGHT_MAX as usize), "expression is a chain of more than 1000 parts");
    check(format!("x[1{}]", "+1".repeat(2_000)), "expression is a chain");
    // Chains within nesting: both bounds at once.
    let links = " or x".repeat(HEIGHT_MAX as usize - DEPTH_MAX as usize - 1);
    let levels = DEPTH_MAX as usize - 2;
    check(format!("{}x{links}{}", "(".repeat(levels), ")".repeat(levels)), "");
}

#[test]
fn long_texts_are_refused() {
    let comment = |bytes: usize| format!("1#{}", "x".repeat(bytes - 2));
    check(comment(TEXT_BYTES_MAX), "");
    check(comment(TEXT_BYTES_MAX + 1), "expression is longer than 1048576 bytes");
}

#[test]
fn faults_are_counted() {
    let errors = parse(&"f(,".repeat(10_000), &Options::ALL).unwrap_err();
    assert!(errors.0.len() <= 100);
}
