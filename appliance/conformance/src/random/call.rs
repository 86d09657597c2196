//! Function calls of random queries.

use query::ast::Expr;

use crate::random::generator::{Generator, Level, Place, call, number, text, within};
use crate::random::leaf::timed;

/// Of a vector, exact if that is.
const EXACT: &[&str] = &["abs", "ceil", "floor", "sgn"];
/// Of a vector, up to rounding.
const CLOSE: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "deg", "exp", "ln", "log10",
    "log2", "rad", "sin", "sinh", "tan", "tanh",
];
/// Of a vector of times.
const DATES: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
];
/// Of a range, exact if that is; the last few jump.
const EXACT_OVER_TIME: &[&str] = &[
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
    "idelta",
    "changes",
    "resets",
];
/// Of a range, up to rounding.
const CLOSE_OVER_TIME: &[&str] =
    &["avg_over_time", "stddev_over_time", "stdvar_over_time", "delta", "deriv", "irate"];
/// Of a range, since version 3.
const WHOLE_OVER_TIME: &[&str] = &[
    "first_over_time",
    "mad_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];
/// Of native histograms.
const HISTOGRAM: &[&str] =
    &["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"];

impl Generator<'_> {
    /// A call that gives a vector.
    pub(crate) fn vector_call(&mut self, place: Place) -> Expr {
        match self.chance.below(100) {
            0..=14 => self.elementwise(place),
            15..=19 => self.date(place),
            20..=49 => self.over_time(place),
            50..=59 => self.rate(place),
            60..=69 => self.histogram(place),
            70..=79 => self.relabel(place),
            80..=84 => {
                let inner = self.scalar(place.below());
                call("vector", vec![inner])
            }
            85..=88 => {
                let inner = self.vector(place.at(Level::Close));
                call("absent", vec![inner])
            }
            89..=92 => {
                let inner = self.vector(place.below());
                if self.is_whole() && self.percent(40) {
                    let name = self.pick(&["sort_by_label", "sort_by_label_desc"]);
                    return call(name, vec![inner, text("job")]);
                }
                call(self.pick(&["sort", "sort_desc"]), vec![inner])
            }
            93..=96 => self.clamp(place),
            97 if self.is_whole() => self.enriched(place),
            _ => self.timestamp(place),
        }
    }

    fn elementwise(&mut self, place: Place) -> Expr {
        let rounds = self.percent(15);
        match place.level {
            Level::Exact | Level::Same => {
                let inner = self.vector(place.at(place.level));
                call(self.pick(EXACT), vec![inner])
            }
            Level::Close if rounds => {
                let inner = self.vector(place.at(Level::Same));
                let to = number(self.pick(&[1.0, 0.5, 10.0, -2.0, 0.125]));
                call("round", if self.percent(50) { vec![inner, to] } else { vec![inner] })
            }
            Level::Close => {
                let inner = self.vector(place.at(Level::Same));
                let name = if self.percent(10) { "sqrt" } else { self.pick(CLOSE) };
                call(name, vec![inner])
            }
        }
    }

    fn date(&mut self, place: Place) -> Expr {
        let name = self.pick(DATES);
        match self.chance.below(3) {
            0 => call(name, Vec::new()),
            1 => {
                let inner = self.timestamp(place.at(Level::Same));
                call(name, vec![inner])
            }
            _ => {
                let inner = self.scalar(Place { depth: 0, ..place.at(Level::Exact) });
                // What no calendar knows is as the machine converts it.
                let time = call("vector", vec![inner]);
                call(name, vec![within(time, 4e9)])
            }
        }
    }

    fn timestamp(&mut self, place: Place) -> Expr {
        if place.level == Level::Exact {
            return self.selector(place);
        }
        let inner = if self.percent(60) {
            self.selector(place)
        } else {
            self.vector(place.at(Level::Close))
        };
        call("timestamp", vec![timed(inner)])
    }

    fn over_time(&mut self, place: Place) -> Expr {
        if self.is_whole() && self.percent(12) {
            let range = self.range(place.at(Level::Exact));
            return call(self.pick(WHOLE_OVER_TIME), vec![range]);
        }
        if place.level != Level::Close || self.percent(60) {
            let name = self.pick(EXACT_OVER_TIME);
            let level = match name {
                "changes" | "resets" => Level::Same,
                "count_over_time" | "present_over_time" | "absent_over_time" => Level::Close,
                "min_over_time" | "max_over_time" | "last_over_time" => place.level,
                _ if place.level == Level::Close => Level::Same,
                _ => Level::Exact,
            };
            let range = self.range(place.at(level));
            return call(name, vec![range]);
        }
        match self.chance.below(12) {
            0 | 1 => {
                let quantile = number(self.pick(&[0.5, 0.37, 0.913, 0.0, 1.0, -1.0, 2.0]));
                let range = self.range(place.at(Level::Same));
                call("quantile_over_time", vec![quantile, range])
            }
            2 | 3 => {
                let range = self.moving_range(place.at(Level::Exact));
                let ahead = number(self.pick(&[0.0, 60.0, 3600.0, -30.0]));
                call("predict_linear", vec![range, ahead])
            }
            4 => {
                let range = self.range(place.at(Level::Exact));
                let factors = [self.pick(&[0.5, 0.1, 0.9]), self.pick(&[0.5, 0.1, 0.3])];
                let factors = factors.map(number);
                call("double_exponential_smoothing", [vec![range], factors.to_vec()].concat())
            }
            _ => {
                let range = self.range(place.at(Level::Exact));
                call(self.pick(CLOSE_OVER_TIME), vec![range])
            }
        }
    }

    /// `rate` and `increase`, of counters only: see `world`'s.
    fn rate(&mut self, place: Place) -> Expr {
        if place.level != Level::Close {
            return self.over_time(place);
        }
        let mut range = self.counter_range(place.below());
        let name = self.pick(&["rate", "rate", "increase"]);
        if self.is_whole() && self.percent(12) {
            return self.extended(&mut range, name);
        }
        call(name, vec![range])
    }

    /// `anchored` or `smoothed` ranges, for the functions that take them.
    fn extended(&mut self, range: &mut Expr, name: &str) -> Expr {
        let query::ast::ExprKind::Matrix(matrix) = &mut range.kind else {
            return call(name, vec![range.clone()]);
        };
        let anchored = self.percent(50);
        matrix.selector.modifiers.anchored = anchored;
        matrix.selector.modifiers.smoothed = !anchored;
        let more = ["delta", "changes", "resets"];
        let name = match self.chance.below(3) {
            0 if anchored => self.pick(&more),
            0 => "delta",
            _ => name,
        };
        call(name, vec![range.clone()])
    }

    fn histogram(&mut self, place: Place) -> Expr {
        if place.level != Level::Close {
            return self.elementwise(place);
        }
        let native = self.is_whole() && self.percent(60);
        let inner = match self.chance.below(4) {
            _ if native && self.percent(50) => self.histogram_selector(place),
            0 => self.vector(place.at(Level::Exact)),
            1 => {
                let metric = self.pick(&["h_bucket", "odd_bucket"]);
                self.selector_of(metric, place)
            }
            _ => self.bucket_rates(place),
        };
        let quantile = self.pick(&[0.37, 0.913, 0.567, 0.0, 1.0, -1.0, 1.5]);
        match self.chance.below(10) {
            0..=5 if !native => call("histogram_quantile", vec![number(quantile), inner]),
            0..=2 => call("histogram_quantile", vec![number(quantile), inner]),
            3..=5 => {
                let (lower, upper) = (self.pick(&[0.0, -1.0, 0.3]), self.pick(&[0.7, 2.0, 5.5]));
                call("histogram_fraction", vec![number(lower), number(upper), inner])
            }
            6 if self.is_whole() => {
                let quantiles = [0.37, 0.913].map(number).to_vec();
                call("histogram_quantiles", [vec![inner, text("q")], quantiles].concat())
            }
            _ if self.is_whole() => call(self.pick(HISTOGRAM), vec![inner]),
            _ => call(self.pick(&["histogram_count", "histogram_sum"]), vec![inner]),
        }
    }

    /// `rate(h_bucket[1m])`, perhaps summed.
    fn bucket_rates(&mut self, place: Place) -> Expr {
        use query::ast::{AggregateExpr, AggregateOp, ExprKind};
        let metric = self.pick(&["h_bucket", "h_bucket", "odd_bucket"]);
        let metric = if self.is_whole() && self.percent(50) { "n" } else { metric };
        let range = self.range_of(metric, place);
        let expr = call("rate", vec![range]);
        if self.percent(50) {
            return expr;
        }
        let grouping = vec!["le".to_owned()];
        let (op, parameter, without) = (AggregateOp::Sum, None, false);
        crate::random::generator::node(ExprKind::Aggregate(Box::new(AggregateExpr {
            op,
            parameter,
            expr,
            grouping,
            without,
        })))
    }

    fn relabel(&mut self, place: Place) -> Expr {
        let inner = self.vector(place.below());
        let labels = ["job", "i", "mode", "none", "new"];
        let (to, from) = (self.pick(&labels), self.pick(&labels));
        if self.percent(60) {
            let pattern = self.pick(&["(.*)", "a|b", "(.)(.*)", "", "(?P<x>.+)", "[0-9]"]);
            let replacement = self.pick(&["$1", "x", "", "$2-$1", "${x}y", "$3"]);
            let args = [to, replacement, from, pattern].map(text);
            return call("label_replace", [vec![inner], args.to_vec()].concat());
        }
        let separator = self.pick(&["", "-", ","]);
        let mut args = vec![inner, text(to), text(separator), text(from)];
        if self.percent(50) {
            args.push(text(self.pick(&labels)));
        }
        call("label_join", args)
    }

    fn clamp(&mut self, place: Place) -> Expr {
        let inner = self.vector(place.below());
        let bound = Place { depth: place.depth.min(1), ..place.at(Level::Exact) };
        match self.chance.below(3) {
            0 => {
                let (low, high) = (self.scalar(bound), self.scalar(bound));
                call("clamp", vec![inner, low, high])
            }
            1 => {
                let low = self.scalar(bound);
                call("clamp_min", vec![inner, low])
            }
            _ => {
                let high = self.scalar(bound);
                call("clamp_max", vec![inner, high])
            }
        }
    }

    fn enriched(&mut self, place: Place) -> Expr {
        let inner = self.vector(place.below());
        if self.percent(50) {
            return call("info", vec![inner]);
        }
        let labels = self.info_selector();
        call("info", vec![inner, labels])
    }
}
