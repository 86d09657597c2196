//! Functions by name: the shape of their evaluation, and which depend on the step's time.

use crate::plan::node::{
    CallKind, DateFunction, HistogramFunction, MapFunction, RangeFunction, SpecialFunction,
};

/// The function called `name`; `None` for those that planning replaces, and unknown ones.
pub(crate) fn kind_of(name: &str) -> Option<CallKind> {
    range(name)
        .map(CallKind::Range)
        .or_else(|| map(name).map(CallKind::Map))
        .or_else(|| date(name).map(CallKind::Date))
        .or_else(|| histogram(name).map(CallKind::Histogram))
        .or_else(|| special(name).map(CallKind::Special))
}

/// Whether the value changes with the step's time although the arguments do not.
pub(crate) fn depends_on_time(kind: CallKind) -> bool {
    match kind {
        CallKind::Date(_) | CallKind::Range(RangeFunction::PredictLinear) => true,
        CallKind::Special(special) => {
            matches!(special, SpecialFunction::Time | SpecialFunction::Timestamp)
        }
        CallKind::Range(_) | CallKind::Map(_) | CallKind::Histogram(_) => false,
    }
}

fn range(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => RangeFunction::Rate,
        "increase" => RangeFunction::Increase,
        "delta" => RangeFunction::Delta,
        "irate" => RangeFunction::Irate,
        "idelta" => RangeFunction::Idelta,
        "deriv" => RangeFunction::Deriv,
        "predict_linear" => RangeFunction::PredictLinear,
        "resets" => RangeFunction::Resets,
        "changes" => RangeFunction::Changes,
        "avg_over_time" => RangeFunction::AvgOverTime,
        "sum_over_time" => RangeFunction::SumOverTime,
        "count_over_time" => RangeFunction::CountOverTime,
        "min_over_time" => RangeFunction::MinOverTime,
        "max_over_time" => RangeFunction::MaxOverTime,
        "stddev_over_time" => RangeFunction::StddevOverTime,
        "stdvar_over_time" => RangeFunction::StdvarOverTime,
        "quantile_over_time" => RangeFunction::QuantileOverTime,
        "mad_over_time" => RangeFunction::MadOverTime,
        "first_over_time" => RangeFunction::FirstOverTime,
        "last_over_time" => RangeFunction::LastOverTime,
        "present_over_time" => RangeFunction::PresentOverTime,
        "absent_over_time" => RangeFunction::AbsentOverTime,
        "ts_of_first_over_time" => RangeFunction::TsOfFirstOverTime,
        "ts_of_last_over_time" => RangeFunction::TsOfLastOverTime,
        "ts_of_min_over_time" => RangeFunction::TsOfMinOverTime,
        "ts_of_max_over_time" => RangeFunction::TsOfMaxOverTime,
        "double_exponential_smoothing" => RangeFunction::DoubleExponentialSmoothing,
        _ => return None,
    })
}

fn map(name: &str) -> Option<MapFunction> {
    Some(match name {
        "abs" => MapFunction::Abs,
        "ceil" => MapFunction::Ceil,
        "floor" => MapFunction::Floor,
        "exp" => MapFunction::Exp,
        "sqrt" => MapFunction::Sqrt,
        "ln" => MapFunction::Ln,
        "log2" => MapFunction::Log2,
        "log10" => MapFunction::Log10,
        "sin" => MapFunction::Sin,
        "cos" => MapFunction::Cos,
        "tan" => MapFunction::Tan,
        "asin" => MapFunction::Asin,
        "acos" => MapFunction::Acos,
        "atan" => MapFunction::Atan,
        "sinh" => MapFunction::Sinh,
        "cosh" => MapFunction::Cosh,
        "tanh" => MapFunction::Tanh,
        "asinh" => MapFunction::Asinh,
        "acosh" => MapFunction::Acosh,
        "atanh" => MapFunction::Atanh,
        "rad" => MapFunction::Rad,
        "deg" => MapFunction::Deg,
        "sgn" => MapFunction::Sgn,
        "round" => MapFunction::Round,
        "clamp" => MapFunction::Clamp,
        "clamp_min" => MapFunction::ClampMin,
        "clamp_max" => MapFunction::ClampMax,
        _ => return None,
    })
}

fn date(name: &str) -> Option<DateFunction> {
    Some(match name {
        "days_in_month" => DateFunction::DaysInMonth,
        "day_of_month" => DateFunction::DayOfMonth,
        "day_of_week" => DateFunction::DayOfWeek,
        "day_of_year" => DateFunction::DayOfYear,
        "hour" => DateFunction::Hour,
        "minute" => DateFunction::Minute,
        "month" => DateFunction::Month,
        "year" => DateFunction::Year,
        _ => return None,
    })
}

fn histogram(name: &str) -> Option<HistogramFunction> {
    Some(match name {
        "histogram_count" => HistogramFunction::Count,
        "histogram_sum" => HistogramFunction::Sum,
        "histogram_avg" => HistogramFunction::Avg,
        "histogram_stddev" => HistogramFunction::Stddev,
        "histogram_stdvar" => HistogramFunction::Stdvar,
        _ => return None,
    })
}

fn special(name: &str) -> Option<SpecialFunction> {
    Some(match name {
        "absent" => SpecialFunction::Absent,
        "histogram_fraction" => SpecialFunction::HistogramFraction,
        "histogram_quantile" => SpecialFunction::HistogramQuantile,
        "histogram_quantiles" => SpecialFunction::HistogramQuantiles,
        "info" => SpecialFunction::Info,
        "label_join" => SpecialFunction::LabelJoin,
        "label_replace" => SpecialFunction::LabelReplace,
        "max_of" => SpecialFunction::MaxOf,
        "min_of" => SpecialFunction::MinOf,
        "scalar" => SpecialFunction::Scalar,
        "sort" => SpecialFunction::Sort,
        "sort_desc" => SpecialFunction::SortDesc,
        "sort_by_label" => SpecialFunction::SortByLabel,
        "sort_by_label_desc" => SpecialFunction::SortByLabelDesc,
        "start_timestamp" => SpecialFunction::StartTimestamp,
        "time" => SpecialFunction::Time,
        "timestamp" => SpecialFunction::Timestamp,
        "vector" => SpecialFunction::Vector,
        _ => return None,
    })
}
