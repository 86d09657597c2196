//! Limits of the process.

use rustix::process::{Resource, getrlimit};

use crate::doctor::checkup::Check;

/// Rings and their registered buffers of many shards.
const MEMLOCK_MIN: u64 = 64 << 20;
/// A connection a target, and the clients.
const FILES_MIN: u64 = 65_536;

/// All findings about limits.
#[must_use]
pub fn examine() -> Vec<Check> {
    vec![memlock(getrlimit(Resource::Memlock).current), files(getrlimit(Resource::Nofile).current)]
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn memlock(limit: Option<u64>) -> Check {
    let found = format!("{} bytes", shown(limit));
    if limit.is_none_or(|limit| MEMLOCK_MIN <= limit) {
        return Check::ok("memlock", found);
    }
    let advice = "buffers may not be registered, and commits copy: LimitMEMLOCK=infinity, or \
                  ulimit -l unlimited";
    Check::without("memlock", found, advice)
}

fn files(limit: Option<u64>) -> Check {
    let found = format!("{} open files", shown(limit));
    if limit.is_none_or(|limit| FILES_MIN <= limit) {
        return Check::ok("nofile", found);
    }
    let advice = "targets beyond it cannot be scraped: LimitNOFILE=1048576, or ulimit -n 1048576";
    Check::fix("nofile", found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Verdict;

    #[test]
    fn limits_are_judged() {
        assert_eq!(memlock(None).verdict, Verdict::Ok);
        assert_eq!(memlock(Some(8 << 20)).verdict, Verdict::WorksWithout);
        assert_eq!(files(Some(1024)).verdict, Verdict::Fix);
        assert_eq!(files(Some(1 << 20)).verdict, Verdict::Ok);
    }
}
