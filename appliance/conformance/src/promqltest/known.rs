//! Cases of the scripts that are known to fail.

use crate::report::Known;

const fn extended(report: &'static str, case: &'static str) -> Known {
    Known {
        report,
        case,
        reason: "anchored and smoothed ranges of native histograms are not written yet",
    }
}

/// The cases and why they fail.
pub const KNOWN: &[Known] = &[
    extended("promqltest/extended_vectors", "line 294"),
    extended("promqltest/extended_vectors", "line 297"),
    extended("promqltest/extended_vectors", "line 303"),
    extended("promqltest/extended_vectors", "line 306"),
    extended("promqltest/extended_vectors", "line 312"),
    extended("promqltest/extended_vectors", "line 316"),
    extended("promqltest/extended_vectors", "line 320"),
    extended("promqltest/extended_vectors", "line 323"),
    extended("promqltest/extended_vectors", "line 329"),
    extended("promqltest/extended_vectors", "line 334"),
    extended("promqltest/extended_vectors", "line 339"),
    extended("promqltest/extended_vectors", "line 345"),
    extended("promqltest/extended_vectors", "line 349"),
    extended("promqltest/extended_vectors", "line 353"),
    extended("promqltest/extended_vectors", "line 364"),
    extended("promqltest/extended_vectors", "line 372"),
    extended("promqltest/extended_vectors", "line 376"),
    extended("promqltest/extended_vectors", "line 382"),
    extended("promqltest/extended_vectors", "line 391"),
    extended("promqltest/extended_vectors", "line 394"),
    extended("promqltest/extended_vectors", "line 402"),
    extended("promqltest/extended_vectors", "line 410"),
    extended("promqltest/extended_vectors", "line 418"),
];
