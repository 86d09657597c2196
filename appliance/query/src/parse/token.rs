//! Tokens: kinds, the keywords, how messages describe them.

use crate::ast::{AggregateOp, BinaryOp};
use crate::parse::go_text::quote_bytes;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// `=`
    Assign,
    /// `=~`
    MatchRegex,
    /// `!~`
    MatchNotRegex,
    /// An operator between expressions; `!=` is in matchers as well.
    Operator(BinaryOp),
    /// `@`
    At,
    Aggregate(AggregateOp),
    Colon,
    Comma,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    LeftParen,
    RightParen,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Anchored,
    Smoothed,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
    /// The end of the text.
    Eof,
    /// What follows [`TokenKind::Eof`].
    Nothing,
    /// The lexer gave up; its reason is reported already.
    Fault,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The keyword that `word` is, in any case.
pub(crate) fn keyword(word: &str) -> Option<TokenKind> {
    use TokenKind::{Aggregate, Operator};
    let lower = word.to_ascii_lowercase();
    Some(match lower.as_str() {
        "and" => Operator(BinaryOp::And),
        "or" => Operator(BinaryOp::Or),
        "unless" => Operator(BinaryOp::Unless),
        "atan2" => Operator(BinaryOp::Atan2),
        "sum" => Aggregate(AggregateOp::Sum),
        "avg" => Aggregate(AggregateOp::Avg),
        "count" => Aggregate(AggregateOp::Count),
        "min" => Aggregate(AggregateOp::Min),
        "max" => Aggregate(AggregateOp::Max),
        "group" => Aggregate(AggregateOp::Group),
        "stddev" => Aggregate(AggregateOp::Stddev),
        "stdvar" => Aggregate(AggregateOp::Stdvar),
        "topk" => Aggregate(AggregateOp::Topk),
        "bottomk" => Aggregate(AggregateOp::Bottomk),
        "count_values" => Aggregate(AggregateOp::CountValues),
        "quantile" => Aggregate(AggregateOp::Quantile),
        "limitk" => Aggregate(AggregateOp::Limitk),
        "limit_ratio" => Aggregate(AggregateOp::LimitRatio),
        "inf" | "nan" => TokenKind::Number,
        _ => return modifier_keyword(&lower).or_else(|| duration_keyword(&lower)),
    })
}

fn modifier_keyword(lower: &str) -> Option<TokenKind> {
    Some(match lower {
        "offset" => TokenKind::Offset,
        "smoothed" => TokenKind::Smoothed,
        "anchored" => TokenKind::Anchored,
        "by" => TokenKind::By,
        "without" => TokenKind::Without,
        "on" => TokenKind::On,
        "ignoring" => TokenKind::Ignoring,
        "group_left" => TokenKind::GroupLeft,
        "group_right" => TokenKind::GroupRight,
        "fill" => TokenKind::Fill,
        "fill_left" => TokenKind::FillLeft,
        "fill_right" => TokenKind::FillRight,
        "bool" => TokenKind::Bool,
        "start" => TokenKind::Start,
        "end" => TokenKind::End,
        _ => return None,
    })
}

/// The keyword of duration arithmetic that `lower` is, given in lower case.
pub(crate) fn duration_keyword(lower: &str) -> Option<TokenKind> {
    Some(match lower {
        "step" => TokenKind::Step,
        "range" => TokenKind::Range,
        "max_of" => TokenKind::MaxOf,
        "min_of" => TokenKind::MinOf,
        _ => return None,
    })
}

impl TokenKind {
    /// Whether it may stand before `{` or alone as a metric name.
    pub(crate) fn is_metric_name(self) -> bool {
        use TokenKind::{
            Aggregate, Anchored, By, End, Fill, FillLeft, FillRight, Identifier, MaxOf,
            MetricIdentifier, MinOf, Offset, Operator, Range, Smoothed, Start, Step, Without,
        };
        match self {
            Operator(op) => op.is_set(),
            Aggregate(_) | Identifier | MetricIdentifier => true,
            By | Without | Fill | FillLeft | FillRight | Offset | Anchored | Smoothed => true,
            Start | End | Step | Range | MaxOf | MinOf => true,
            _ => false,
        }
    }

    /// Whether it may be a label name in `by (...)`, `on (...)` and the like.
    pub(crate) fn is_label_name(self) -> bool {
        use TokenKind::{Bool, GroupLeft, GroupRight, Ignoring, On, Operator, Without};
        match self {
            Bool | GroupLeft | GroupRight | Ignoring | On => true,
            Operator(BinaryOp::Atan2) => true,
            Without => false,
            kind => kind.is_metric_name(),
        }
    }

    /// Whether `(` after it makes a function call.
    pub(crate) fn is_function_name(self) -> bool {
        use TokenKind::{End, Identifier, MaxOf, MinOf, Range, Start, Step};
        matches!(self, Identifier | Start | End | Step | Range | MaxOf | MinOf)
    }

    /// The sign that it is.
    pub(crate) fn sign(self) -> Option<Sign> {
        match self {
            TokenKind::Operator(BinaryOp::Add) => Some(Sign::Plus),
            TokenKind::Operator(BinaryOp::Sub) => Some(Sign::Minus),
            _ => None,
        }
    }

    /// Whether an expression may begin with it.
    pub(crate) fn begins_expression(self) -> bool {
        use TokenKind::{Duration, LeftBrace, LeftParen, Number, String};
        matches!(self, Number | Duration | String | LeftParen | LeftBrace)
            || self.is_metric_name()
            || self.sign().is_some()
    }
}

/// `+` or `-` before something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// The token as messages show it.
pub(crate) fn describe(kind: TokenKind, text: &[u8]) -> String {
    use TokenKind::{
        Aggregate, Anchored, At, Bool, By, Duration, Eof, Fill, FillLeft, FillRight, GroupLeft,
        GroupRight, Identifier, Ignoring, MatchNotRegex, MatchRegex, MetricIdentifier, Nothing,
        Number, Offset, On, Operator, Smoothed, String, Without,
    };
    let shown = std::string::String::from_utf8_lossy(text);
    match kind {
        Eof | Nothing => "end of input".to_owned(),
        Identifier => format!("identifier {}", quote_bytes(text)),
        MetricIdentifier => format!("metric identifier {}", quote_bytes(text)),
        String => format!("string {}", shortened(text)),
        Number => format!("number {}", shortened(text)),
        Duration => format!("duration {}", shortened(text)),
        Operator(_) | At | MatchRegex | MatchNotRegex => format!("<op:{shown}>"),
        Aggregate(_) => format!("<aggr:{shown}>"),
        Bool | By | Without | On | Ignoring | GroupLeft | GroupRight | Fill | FillLeft
        | FillRight | Offset | Anchored | Smoothed => format!("<{shown}>"),
        _ => shortened(text),
    }
}

/// The text in quotes; of more than ten bytes the first ten characters and dots.
fn shortened(text: &[u8]) -> String {
    if text.len() <= 10 {
        return quote_bytes(text);
    }
    let shown = String::from_utf8_lossy(text);
    let first: String = shown.chars().take(10).collect();
    format!("{}...", quote_bytes(first.as_bytes()))
}
