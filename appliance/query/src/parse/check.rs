//! Checks types and the rules that the grammar does not hold; settles how vectors match.

use model::label_set::METRIC_NAME;
use model::matcher::Matcher;

use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, Call, Cardinality, Expr, ExprKind, Span, VectorSelector,
};
use crate::parse::cursor::Cursor;
use crate::parse::lexer::is_space;
use crate::value_type::ValueType;

impl Expr {
    /// Type of its value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Unary(unary) => unary.expr.value_type(),
            ExprKind::Binary(binary) => {
                let sides = [binary.left.value_type(), binary.right.value_type()];
                match sides {
                    [ValueType::Scalar, ValueType::Scalar] => ValueType::Scalar,
                    _ => ValueType::Vector,
                }
            }
            ExprKind::Aggregate(_) | ExprKind::Vector(_) => ValueType::Vector,
            ExprKind::Call(call) => call.function.return_type,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
        }
    }
}

impl Cursor<'_> {
    /// Checks `expr` and everything in it; gives its type.
    pub(crate) fn check(&mut self, expr: &mut Expr) -> ValueType {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) => self.check(inner),
            ExprKind::Unary(unary) => {
                let found = self.check(&mut unary.expr);
                if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                    let allowed = "expressions of type scalar or instant vector";
                    let reason =
                        format!("unary expression only allowed on {allowed}, got \"{found}\"");
                    self.fault(span, reason);
                }
                found
            }
            ExprKind::Binary(binary) => self.check_binary(span, binary),
            ExprKind::Aggregate(aggregate) => {
                self.check_aggregate(aggregate);
                ValueType::Vector
            }
            ExprKind::Call(call) => {
                self.check_call(span, call);
                call.function.return_type
            }
            ExprKind::Vector(selector) => {
                self.check_selector(span, selector, false);
                ValueType::Vector
            }
            ExprKind::Matrix(matrix) => {
                self.check_selector(matrix.selector_span, &matrix.selector, false);
                ValueType::Matrix
            }
            ExprKind::Subquery(subquery) => {
                let found = self.check(&mut subquery.expr);
                if found != ValueType::Vector {
                    let found = short_name(found);
                    let reason =
                        format!("subquery is only allowed on instant vector, got {found} instead");
                    self.fault(span, reason);
                }
                ValueType::Matrix
            }
        }
    }

    fn check_aggregate(&mut self, aggregate: &mut AggregateExpr) {
        self.check_is(&mut aggregate.expr, ValueType::Vector, "aggregation expression");
        if let Some(parameter) = &mut aggregate.parameter {
            let wanted = match aggregate.op {
                AggregateOp::CountValues => ValueType::String,
                _ => ValueType::Scalar,
            };
            self.check_is(parameter, wanted, "aggregation parameter");
        }
    }

    fn check_is(&mut self, expr: &mut Expr, wanted: ValueType, context: &str) {
        let found = self.check(expr);
        if found != wanted {
            self.fault(expr.span, format!("expected type {wanted} in {context}, got {found}"));
        }
    }

    fn check_binary(&mut self, span: Span, binary: &mut BinaryExpr) -> ValueType {
        let sides = [self.check(&mut binary.left), self.check(&mut binary.right)];
        let op = binary.op;
        let scalars = sides == [ValueType::Scalar, ValueType::Scalar];
        if binary.return_bool && !op.is_comparison() {
            let place = self.operator_span(binary);
            self.fault(place, "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !binary.return_bool && scalars {
            let place = self.operator_span(binary);
            self.fault(place, "comparisons between scalars must use BOOL modifier");
        }
        self.check_include(binary);
        for (side, found) in [&binary.left, &binary.right].into_iter().zip(sides) {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let reason = "binary expression must contain only scalar and instant vector types";
                self.fault(side.span, reason);
            }
        }
        self.check_matching(span, binary, sides == [ValueType::Vector, ValueType::Vector]);
        if op.is_set() && sides.contains(&ValueType::Scalar) {
            let op = op.text();
            let reason = format!("set operator \"{op}\" not allowed in binary scalar expression");
            self.fault(span, reason);
        }
        if scalars { ValueType::Scalar } else { ValueType::Vector }
    }

    /// A label cannot be matched on and taken from one side as well.
    fn check_include(&mut self, binary: &BinaryExpr) {
        let Some(matching) = &binary.matching else { return };
        if !matching.on {
            return;
        }
        for label in &matching.labels {
            for _ in matching.include.iter().filter(|include| *include == label) {
                let place = self.operator_span(binary);
                let label = model::label_name::quote(label);
                let reason = format!("label {label} must not occur in ON and GROUP clause at once");
                self.fault(place, reason);
            }
        }
    }

    fn check_matching(&mut self, span: Span, binary: &mut BinaryExpr, between_vectors: bool) {
        let Some(matching) = &mut binary.matching else { return };
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !between_vectors {
            if !matching.labels.is_empty() {
                self.fault(span, "vector matching only allowed between instant vectors");
            }
            if fills {
                let reason = "filling in missing series only allowed between instant vectors";
                self.fault(span, reason);
            }
            binary.matching = None;
        } else if binary.op.is_set() {
            if matching.cardinality == Cardinality::OneToOne {
                matching.cardinality = Cardinality::ManyToMany;
            } else {
                let op = binary.op.text();
                self.fault(span, format!("no grouping allowed for \"{op}\" operation"));
                self.fault(span, "set operations must always be many-to-many");
            }
            if fills {
                self.fault(span, "filling in missing series not allowed for set operators");
            }
        }
    }

    /// Where the operator stands with its modifiers, as Prometheus finds it: the text between the
    /// sides without the spaces around; the end is that of the last character's first byte.
    fn operator_span(&self, binary: &BinaryExpr) -> Span {
        let is_space =
            |at: u32| self.input().get(at as usize).is_some_and(|byte| is_space(char::from(*byte)));
        let mut start = binary.left.span.end;
        while is_space(start) {
            start += 1;
        }
        let mut end = binary.right.span.start.saturating_sub(1);
        while start < end && is_space(end) {
            end -= 1;
        }
        Span { start, end }
    }

    fn check_call(&mut self, span: Span, call: &mut Call) {
        self.check_argument_count(span, call);
        let function = call.function;
        let mut first_of_selectors = usize::MAX;
        if function.name == "info" && call.args.len() > 1 {
            first_of_selectors = 1;
            self.check_info_selector(span, &call.args[1]);
        }
        for (at, arg) in call.args.iter_mut().enumerate() {
            let wanted = match function.arg_types.get(at).or(function.arg_types.last()) {
                Some(wanted) if at < function.arg_types.len() || function.variadic != 0 => *wanted,
                _ => break,
            };
            let found = match &arg.kind {
                ExprKind::Vector(selector) if at == first_of_selectors => {
                    let may_be_empty = selector.name.is_none();
                    self.check_selector(arg.span, selector, may_be_empty);
                    ValueType::Vector
                }
                _ => self.check(arg),
            };
            if found != wanted {
                let name = function.name;
                let reason =
                    format!("expected type {wanted} in call to function \"{name}\", got {found}");
                self.fault(arg.span, reason);
            }
        }
    }

    fn check_argument_count(&mut self, span: Span, call: &Call) {
        let function = call.function;
        let (count, types) = (call.args.len(), function.arg_types.len());
        let name = function.name;
        let fault = |bound: &str, wanted: usize| {
            format!("expected {bound}{wanted} argument(s) in call to \"{name}\", got {count}")
        };
        if function.variadic == 0 {
            if count != types {
                self.fault(span, fault("", types));
            }
            return;
        }
        let least = types.saturating_sub(1);
        let most = usize::try_from(function.variadic).map_or(usize::MAX, |more| least + more);
        if count < least {
            self.fault(span, fault("at least ", least));
        } else if most < count {
            self.fault(span, fault("at most ", most));
        }
    }

    /// The second argument of `info` is a selector without a metric name before its braces.
    fn check_info_selector(&mut self, call: Span, arg: &Expr) {
        let found = arg.value_type();
        if found != ValueType::Vector {
            let wanted = ValueType::Vector;
            let reason =
                format!("expected type {wanted} in call to function \"info\", got {found}");
            self.fault(call, reason);
        }
        match &arg.kind {
            ExprKind::Vector(selector) if selector.name.is_some() => {
                self.fault(arg.span, "expected label selectors only, got vector selector instead");
            }
            ExprKind::Vector(_) => {}
            _ => self.fault(arg.span, "expected label selectors only"),
        }
    }

    fn check_selector(&mut self, span: Span, selector: &VectorSelector, may_be_empty: bool) {
        if let Some(name) = &selector.name {
            let written = selector.matchers.len().saturating_sub(1);
            for matcher in &selector.matchers[..written] {
                if matcher.name == METRIC_NAME {
                    let name = model::label_name::quote(name);
                    let other = model::label_name::quote(&matcher.value);
                    let reason = format!("metric name must not be set twice: {name} or {other}");
                    self.fault(span, reason);
                }
            }
            return;
        }
        let selects = |matcher: &crate::ast::LabelMatcher| {
            Matcher::new(&matcher.name, matcher.op, &matcher.value)
                .is_ok_and(|matcher| !matcher.matches(""))
        };
        if !may_be_empty && !selector.matchers.iter().any(selects) {
            self.fault(span, "vector selector must contain at least one non-empty matcher");
        }
    }
}

fn short_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}
