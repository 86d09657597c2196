//! Checkup: one finding of the doctor, as a row of a table and as JSON.

use std::fmt;

/// How a finding bears on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The server does without, at a price.
    WorksWithout,
    /// Samples or promises are in danger.
    Fix,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Ok => "ok",
            Verdict::WorksWithout => "works without",
            Verdict::Fix => "fix this",
        })
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it bears.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is lost, and the command or setting that mends it; empty when nothing is.
    pub advice: String,
}

impl Check {
    /// Something that is as it should be.
    #[must_use]
    pub fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    /// Something that the server does without.
    #[must_use]
    pub fn without(name: &'static str, found: impl Into<String>, advice: &str) -> Check {
        let advice = advice.to_owned();
        Check { name, verdict: Verdict::WorksWithout, found: found.into(), advice }
    }

    /// Something to mend.
    #[must_use]
    pub fn fix(name: &'static str, found: impl Into<String>, advice: &str) -> Check {
        Check { name, verdict: Verdict::Fix, found: found.into(), advice: advice.to_owned() }
    }
}

/// The findings as a table, advice below its row.
#[must_use]
pub fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        text.push_str(&format!("{:<16}{:<15}{}\n", check.name, check.verdict, check.found));
        if !check.advice.is_empty() {
            text.push_str(&format!("{:<31}{}\n", "", check.advice));
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    text.push_str(&format!(
        "\n{} ok, {} works without, {} to fix\n",
        count(Verdict::Ok),
        count(Verdict::WorksWithout),
        count(Verdict::Fix)
    ));
    text
}

/// The findings as a JSON array.
#[must_use]
pub fn json(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        serde_json::json!({
            "name": check.name,
            "verdict": check.verdict.to_string(),
            "found": check.found,
            "advice": check.advice,
        })
    });
    format!("{:#}\n", serde_json::Value::Array(rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_become_a_table_and_json() {
        let checks = [
            Check::ok("kernel", "6.18"),
            Check::fix("sync", "no barriers", "mount it without nobarrier"),
        ];
        let expected = "kernel          ok             6.18\n\
                        sync            fix this       no barriers\n                               \
                        mount it without nobarrier\n\n1 ok, 0 works without, 1 to fix\n";
        assert_eq!(table(&checks), expected);
        let read: serde_json::Value = serde_json::from_str(&json(&checks)).unwrap();
        assert_eq!(read[1]["verdict"], "fix this");
    }
}
