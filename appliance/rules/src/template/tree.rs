//! The syntax tree of a template.

use std::collections::BTreeMap;

/// A template and those that it defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// What is written when it is executed.
    pub nodes: Vec<Node>,
    /// `{{define "name"}}` and `{{block "name" .}}`, by name.
    pub defined: BTreeMap<String, Vec<Node>>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Written as it is.
    Text(String),
    /// `{{pipeline}}`
    Action(Pipeline),
    /// `{{if pipeline}}`
    If(Branch),
    /// `{{with pipeline}}`
    With(Branch),
    /// `{{range pipeline}}`
    Range(Branch),
    /// `{{template "name" pipeline}}`
    Call {
        /// Which.
        name: String,
        /// What its dot is.
        pipeline: Option<Pipeline>,
    },
    /// `{{break}}`
    Break,
    /// `{{continue}}`
    Continue,
}

/// A condition or list and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// What is looked at.
    pub pipeline: Pipeline,
    /// What is done with it.
    pub then: Vec<Node>,
    /// What is done where there is nothing.
    pub otherwise: Vec<Node>,
}

/// Commands, each with what the one before gave as its last argument.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {
    /// Variables that take the result, `$` included.
    pub variables: Vec<String>,
    /// Whether they were there before: `=` instead of `:=`.
    pub is_assignment: bool,
    /// The commands; empty in no pipeline that was parsed.
    pub commands: Vec<Vec<Operand>>,
}

/// A function, or an argument of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `true`, `false`
    Boolean(bool),
    /// A number or character constant as written.
    Number(String),
    /// A text, unquoted.
    Text(String),
    /// `$x`
    Variable(String),
    /// `.Field.Field`
    Field(Vec<String>),
    /// A function by name.
    Function(String),
    /// `(pipeline)`
    Paren(Box<Pipeline>),
    /// `$x.Field`, `(pipeline).Field`
    Chain(Box<Operand>, Vec<String>),
}
