//! Which experimental parts of PromQL a server has switched on.

/// What the parser accepts beyond stable PromQL; all off is a server without feature flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Functions and aggregations marked experimental.
    pub experimental_functions: bool,
    /// Arithmetic in ranges and offsets: `[5m + step()]`.
    pub duration_expr: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub binop_fill_modifiers: bool,
}

impl Options {
    /// Everything on.
    pub const ALL: Options = Options {
        experimental_functions: true,
        duration_expr: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
    };
    /// What Prometheus 3.14 accepts without a feature flag.
    pub const STABLE: Options = Options {
        experimental_functions: false,
        duration_expr: true,
        extended_range_selectors: false,
        binop_fill_modifiers: false,
    };
}
