//! Flags of a scenario: `--name number` pairs, each asked for by its name.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

/// Numbers by flag.
#[derive(Debug, Default)]
pub(crate) struct Flags(BTreeMap<String, u64>);

impl Flags {
    /// The flags of a command line.
    pub(crate) fn read(args: &[&str]) -> anyhow::Result<Flags> {
        let mut flags = Flags::default();
        for pair in args.chunks(2) {
            let name =
                pair[0].strip_prefix("--").with_context(|| format!("{}: no flag", pair[0]))?;
            let value = pair.get(1).with_context(|| format!("--{name} needs a number"))?;
            let value = value.parse().with_context(|| format!("--{name} {value}: no number"))?;
            flags.0.insert(name.to_owned(), value);
        }
        Ok(flags)
    }

    /// The number of a flag, or `default`.
    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(default)
    }

    /// Refuses flags that are none of `known`.
    pub(crate) fn only(&self, known: &[&str]) -> anyhow::Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => bail!("no flag --{name}: this scenario takes {known:?}"),
            None => Ok(()),
        }
    }

    /// Refuses all flags.
    pub(crate) fn none(&self) -> anyhow::Result<()> {
        self.only(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: &str) {
        let read = Flags::read(args).and_then(|flags| {
            flags.only(&["seed"])?;
            Ok(flags.number("seed", 7).to_string())
        });
        assert_eq!(read.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn flags_are_read_or_refused() {
        check(&[], "7");
        check(&["--seed", "3"], "3");
        check(&["--seed"], "--seed needs a number");
        check(&["--seed", "x"], "--seed x: no number");
        check(&["seed", "3"], "seed: no flag");
        check(&["--sed", "3"], "no flag --sed: this scenario takes [\"seed\"]");
    }
}
