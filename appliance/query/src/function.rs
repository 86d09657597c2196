//! The functions of PromQL: names, argument types, result types.

use crate::ast::ValueType;

/// Signature of a function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments.
    pub arg_types: &'static [ValueType],
    /// How many arguments at the end may be left out; -1: the last may be repeated.
    pub variadic: i32,
    /// Type of its value.
    pub return_type: ValueType,
    /// Needs `--enable-feature=promql-experimental-functions`.
    pub experimental: bool,
}
