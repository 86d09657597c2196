//! Selectors, ranges and subqueries of random queries, with their modifiers.

use model::label_set::METRIC_NAME;
use model::matcher::MatchOp;
use query::ast::{
    At, BinaryOp, Duration, DurationExpr, DurationExprKind, Expr, ExprKind, LabelMatcher,
    MatrixSelector, Modifiers, NumberLiteral, Span, SubqueryExpr, VectorSelector,
};

use crate::random::generator::{Edge, Generator, Place, grouped, node};
use crate::random::world::{INTERVAL_MS, SLOTS, START_MS};

const GAUGES: &[&str] = &["g", "t", "g", "t", "g", "t", "u", "odd", "rare", "target_info"];
const COUNTERS: &[&str] = &["c_total", "r_total", "c_total", "h_bucket", "odd_bucket"];
const HISTOGRAMS: &[&str] = &["n", "n", "n_gauge", "custom", "mixed"];

impl Generator<'_> {
    /// Any metric of the world.
    fn metric(&mut self) -> &'static str {
        let histograms = self.is_whole() && self.percent(25);
        match self.chance.below(10) {
            _ if histograms => self.pick(HISTOGRAMS),
            0..=5 => self.pick(GAUGES),
            _ => self.pick(COUNTERS),
        }
    }

    /// An instant selector.
    pub(crate) fn selector(&mut self, place: Place) -> Expr {
        let metric = self.metric();
        self.selector_of(metric, place)
    }

    /// An instant selector of `metric`.
    pub(crate) fn selector_of(&mut self, metric: &str, place: Place) -> Expr {
        let mut selector = self.bare(metric);
        selector.modifiers = self.modifiers(place);
        if self.is_whole() && selector.modifiers.at.is_none() && self.percent(3) {
            selector.modifiers.smoothed = true;
        }
        let is_arithmetic = matches!(selector.modifiers.offset, Some(Duration::Expr(_)));
        let selector = node(ExprKind::Vector(selector));
        // An operator behind it would go on with the arithmetic.
        if is_arithmetic { node(ExprKind::Paren(Box::new(selector))) } else { selector }
    }

    /// A selector of native histograms.
    pub(crate) fn histogram_selector(&mut self, place: Place) -> Expr {
        let metric = self.pick(HISTOGRAMS);
        self.selector_of(metric, place)
    }

    fn bare(&mut self, metric: &str) -> VectorSelector {
        let mut matchers = Vec::new();
        for _ in 0..self.pick(&[0, 0, 0, 1, 1, 2]) {
            matchers.push(self.matcher());
        }
        let by_pattern = self.percent(4);
        if by_pattern {
            // What takes counters alone takes a counter's pattern.
            let pattern = if COUNTERS.contains(&metric) {
                self.pick(&["c_.*", ".*_bucket", "(r|c)_total"])
            } else {
                self.pick(&["g|t", "[gt]", "g|c_total", "u|odd"])
            };
            matchers.push(matcher(METRIC_NAME, MatchOp::Regex, pattern));
            return VectorSelector { name: None, matchers, modifiers: Modifiers::default() };
        }
        matchers.push(matcher(METRIC_NAME, MatchOp::Equal, metric));
        let name = Some(metric.to_owned());
        VectorSelector { name, matchers, modifiers: Modifiers::default() }
    }

    /// The labels that `info` takes.
    pub(crate) fn info_selector(&mut self) -> Expr {
        let any = self.pick(&[
            ("version", MatchOp::Regex, ".+"),
            ("version", MatchOp::Equal, "1"),
            (METRIC_NAME, MatchOp::Equal, "build_info"),
            (METRIC_NAME, MatchOp::Regex, ".+_info"),
        ]);
        let matchers = vec![matcher(any.0, any.1, any.2)];
        let selector = VectorSelector { name: None, matchers, modifiers: Modifiers::default() };
        node(ExprKind::Vector(selector))
    }

    fn matcher(&mut self) -> LabelMatcher {
        let (name, values): (&str, &[&str]) = self.pick(&[
            ("job", &["a", "b"]),
            ("job", &["a", "b", "c", ""]),
            ("i", &["0", "1"]),
            ("i", &["0", "1", "2", ""]),
            ("mode", &["r", "w", ""]),
            ("code", &["200", "500"]),
            ("le", &["1", "+Inf"]),
            ("none", &["", "x"]),
        ]);
        let op = match self.chance.below(10) {
            0..=4 => MatchOp::Equal,
            5 | 6 => MatchOp::NotEqual,
            7 | 8 => MatchOp::Regex,
            _ => MatchOp::NotRegex,
        };
        let pattern = matches!(op, MatchOp::Regex | MatchOp::NotRegex);
        let patterns = ["a|b", ".*", ".+", "[ab]", "0|1", "", "2..", "(a|r)?", "a.*|w"];
        let value = if pattern { self.pick(&patterns) } else { self.pick(values) };
        matcher(name, op, value)
    }

    /// offset and @.
    fn modifiers(&mut self, place: Place) -> Modifiers {
        let offset = self.percent(12).then(|| {
            let seconds = self.pick(&[1, 5, 10, 30, 60, 90, 240, -10, -45]);
            self.duration(seconds * 1000)
        });
        let at = self.percent(if place.subqueries == 0 { 8 } else { 5 }).then(|| self.at(place));
        Modifiers { offset, at, anchored: false, smoothed: false }
    }

    /// A time that falls where those of the place do.
    fn at(&mut self, place: Place) -> At {
        let anywhere = self.is_whole() || place.edge == Edge::Half;
        match self.chance.below(4) {
            0 if anywhere => At::Start,
            1 if anywhere => At::End,
            _ => {
                let seconds = self.between(30, SLOTS * INTERVAL_MS / 1000);
                let whole = if self.is_whole() { self.percent(80) } else { !anywhere };
                let half = if whole { 0 } else { 500 };
                At::Time(START_MS + seconds * 1000 + half)
            }
        }
    }

    /// A duration; in the whole language sometimes as arithmetic that gives the same.
    fn duration(&mut self, ms: i64) -> Duration {
        if !self.is_whole() || ms % 1000 != 0 || self.percent(85) {
            return Duration::Ms(ms);
        }
        let seconds = |seconds| {
            let literal = DurationExprKind::Number(literal_seconds(seconds));
            Box::new(duration_node(literal))
        };
        let own = ms / 1000;
        let kind = match self.chance.below(3) {
            0 => DurationExprKind::Max(seconds(own), seconds(own - 7)),
            1 => DurationExprKind::Min(seconds(own + 7), seconds(own)),
            _ => {
                let (left, right) = (seconds(own - 7), seconds(7));
                DurationExprKind::Binary { op: BinaryOp::Add, left, right }
            }
        };
        Duration::Expr(duration_node(DurationExprKind::Paren(Box::new(duration_node(kind)))))
    }

    /// A range of samples of `metric`.
    pub(crate) fn range_of(&mut self, metric: &str, place: Place) -> Expr {
        let mut selector = self.bare(metric);
        selector.modifiers = self.modifiers(place);
        let seconds = self.pick(&[1, 15, 20, 25, 30, 45, 60, 60, 120, 180, 300]);
        let range = self.duration(seconds * 1000);
        let selector_span = Span::default();
        node(ExprKind::Matrix(MatrixSelector { selector, selector_span, range }))
    }

    /// A range of counters, which rate and increase take.
    pub(crate) fn counter_range(&mut self, place: Place) -> Expr {
        let metric = if self.is_whole() && self.percent(25) {
            self.pick(HISTOGRAMS)
        } else {
            self.pick(COUNTERS)
        };
        if place.subqueries < 2 && self.percent(15) {
            let inner = Place { edge: Edge::Whole, subqueries: place.subqueries + 1, ..place };
            let selector = self.selector_of(metric, inner);
            return self.subquery(selector, place);
        }
        self.range_of(metric, place)
    }

    /// A range of samples or of an expression.
    pub(crate) fn range(&mut self, place: Place) -> Expr {
        if place.subqueries < 2 && 0 < place.depth && self.percent(35) {
            let inner = Place { edge: Edge::Whole, subqueries: place.subqueries + 1, ..place };
            let expr = self.vector(inner.below());
            return self.subquery(expr, place);
        }
        let metric = self.metric();
        self.range_of(metric, place)
    }

    /// A range that moves with the steps: some functions of version 2 move one with `@` too.
    pub(crate) fn moving_range(&mut self, place: Place) -> Expr {
        let mut range = self.range(place);
        if !self.is_whole() {
            match &mut range.kind {
                ExprKind::Matrix(matrix) => matrix.selector.modifiers.at = None,
                ExprKind::Subquery(subquery) => subquery.modifiers.at = None,
                _ => {}
            }
        }
        range
    }

    fn subquery(&mut self, inner: Expr, place: Place) -> Expr {
        let modifiers = self.modifiers(place);
        // The points of a subquery are whole seconds; the left edge of its window is none.
        let part = if !self.is_whole() && place.edge == Edge::Whole { 500 } else { 0 };
        let seconds = self.pick(&[10, 30, 60, 120, 200]);
        let steps: &[i64] = if place.subqueries == 0 { &[1, 5, 7, 10, 30] } else { &[7, 10, 30] };
        let step = self.pick(steps);
        // A window without a step would show what Prometheus makes of one step that is none: a
        // sample behind the window, where the expression is the same at every step.
        let is_plain = 60 <= seconds && self.percent(15);
        let step = (!is_plain).then(|| self.duration(step.min(seconds) * 1000));
        let range = self.duration(seconds * 1000 + part);
        node(ExprKind::Subquery(Box::new(SubqueryExpr {
            expr: grouped(inner),
            range,
            step,
            modifiers,
        })))
    }
}

/// What `timestamp` takes: in Prometheus it forgets a selector's offset beside `@`, but not when it
/// selects series, so that what it gives depends on the storage.
pub(crate) fn timed(mut expr: Expr) -> Expr {
    match &mut expr.kind {
        ExprKind::Vector(vector) if vector.modifiers.at.is_some() => vector.modifiers.offset = None,
        ExprKind::Paren(inner) => **inner = timed((**inner).clone()),
        _ => {}
    }
    expr
}

fn matcher(name: &str, op: MatchOp, value: &str) -> LabelMatcher {
    LabelMatcher { name: name.to_owned(), op, value: value.to_owned() }
}

fn duration_node(kind: DurationExprKind) -> DurationExpr {
    DurationExpr { span: Span::default(), kind }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of made-up queries are small")]
fn literal_seconds(seconds: i64) -> NumberLiteral {
    NumberLiteral { value: seconds as f64, is_duration: false }
}
