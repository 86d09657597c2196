//! The slots that the programs compute are those of the native histogram's definition.
//!
//! The header is compiled for this machine, since a program in the kernel cannot be asked.

use std::fmt::Write;
use std::process::{Command, Stdio};

/// Reads nanoseconds a line, writes the slot of each.
const PROGRAM: &str = r#"
#include <stdio.h>
#include "histogram.h"
int main(void) {
    unsigned long long ns;
    while (scanf("%llu", &ns) == 1)
        printf("%u %u\n", duration_slot(ns), size_slot(ns));
}
"#;

fn slots(values: &[u64]) -> Option<Vec<(i32, u32)>> {
    let directory = tempfile::tempdir().expect("the test machine does this");
    let (source, program) = (directory.path().join("slots.c"), directory.path().join("slots"));
    std::fs::write(&source, PROGRAM).expect("the test machine does this");
    let headers = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");
    let compiled = Command::new("cc")
        .args(["-O1", "-w", "-I", headers, "-o"])
        .args([&program, &source])
        .status();
    if !compiled.ok()?.success() {
        return None;
    }
    let mut input = String::new();
    for value in values {
        writeln!(input, "{value}").expect("the test machine does this");
    }
    let numbers = directory.path().join("numbers");
    std::fs::write(&numbers, input).expect("the test machine does this");
    let shell = format!("{} < {}", program.display(), numbers.display());
    let output = Command::new("sh")
        .args(["-c", &shell])
        .stderr(Stdio::inherit())
        .output()
        .expect("the test machine does this");
    let text = String::from_utf8(output.stdout).expect("the test machine does this");
    let pair = |line: &str| {
        let (duration, size) = line.split_once(' ').expect("the test machine does this");
        (
            duration.parse().expect("the test machine does this"),
            size.parse().expect("the test machine does this"),
        )
    };
    Some(text.lines().map(pair).collect())
}

#[test]
fn slots_are_the_buckets_of_the_definition() {
    // Around every power of 2^(1/16) up to the clamp, so that every bucket has both its ends near.
    let mut values: Vec<u64> = (0..600).collect();
    for step in 0..16 * 36 {
        let middle = whole((f64::from(step) / 16.0).exp2());
        values.extend([middle.saturating_sub(1), middle, middle + 1]);
    }
    let Some(found) = slots(&values) else {
        println!("skipped: no C compiler");
        return;
    };
    assert_eq!(found.len(), values.len());
    for (ns, (duration, size)) in values.iter().zip(found) {
        let exact = (*ns as f64 * 1e-9).log2() * 4.0;
        // Units of 2^-34 s are cut to integers: so near a bound, either side.
        let slot = |distance: f64| ((exact + distance).ceil() + 88.0).max(0.0);
        let expected = slot(-0.003)..=slot(0.003);
        let found = f64::from(duration);
        assert!(expected.contains(&found), "{ns} ns: slot {duration}, expected {expected:?}");
        let exact = if *ns <= 1 { 0 } else { 64 - (ns - 1).leading_zeros() };
        assert_eq!(size, exact, "{ns} bytes");
    }
}

/// The number without what stands behind the point.
fn whole(number: f64) -> u64 {
    format!("{:.0}", number.trunc()).parse().expect("a positive number below 2^36")
}
