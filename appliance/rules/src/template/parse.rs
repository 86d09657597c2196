//! Parses a template: variables are there before they are used, functions are Prometheus's.
//!
//! Path: tokens → **parse** → `tree`.
//! Source: `text/template/parse/parse.go`; faults have its words.
//! Never: recurses without bound.

use model::label_name::unquote;
use thiserror::Error;

use crate::template::token::{Kind, Token, cut};
use crate::template::tree::{Branch, Node, Operand, Pipeline, Template};

/// Most bytes of a template.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of parentheses and blocks.
const DEPTH_MAX: usize = 200;

/// Functions that templates of rules may call, Go's own and Prometheus's, in order of name.
pub const FUNCTIONS: [&str; 45] = [
    "and",
    "args",
    "call",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "now",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "slice",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
];
/// Functions that stand behind those in order of name.
const FUNCTIONS_LAST: [&str; 3] = ["urlquery", "urlQueryEscape", "value"];

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("template: {name}:{line}: {reason}")]
pub struct TemplateError {
    /// Name of the template.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, in Go's words.
    pub reason: String,
}

/// Parses `text`. `variables` are those that it may use, `$` included.
///
/// # Errors
/// See [`TemplateError`].
pub fn parse(name: &str, text: &str, variables: &[&str]) -> Result<Template, TemplateError> {
    let fault = |(line, reason)| TemplateError { name: name.to_owned(), line, reason };
    if TEXT_BYTES_MAX < text.len() {
        return Err(fault((1, format!("longer than {TEXT_BYTES_MAX} bytes"))));
    }
    let tokens = cut(text).map_err(fault)?;
    let mut scope = vec!["$".to_owned()];
    scope.extend(variables.iter().map(|name| (*name).to_owned()));
    let mut parser = Parser {
        tokens,
        at: 0,
        variables: scope,
        ranges: 0,
        depth: 0,
        template: Template::default(),
    };
    match parser.all() {
        Ok(nodes) => Ok(Template { nodes, ..parser.template }),
        Err(reason) => {
            let line = parser.tokens[parser.at.saturating_sub(1)].line;
            Err(fault((line, reason)))
        }
    }
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    End,
    Else,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    variables: Vec<String>,
    /// How many `range` are around.
    ranges: usize,
    depth: usize,
    template: Template,
}

impl Parser {
    fn next(&mut self) -> Kind {
        let kind = self.tokens[self.at].kind.clone();
        // The end is given again and again.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn next_after_space(&mut self) -> Kind {
        while *self.peek() == Kind::Space {
            self.at += 1;
        }
        self.next()
    }

    fn peek_after_space(&mut self) -> Kind {
        while *self.peek() == Kind::Space {
            self.at += 1;
        }
        self.peek().clone()
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            Err("max expression depth exceeded".to_owned())
        } else {
            Ok(())
        }
    }

    fn all(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while *self.peek() != Kind::End {
            match self.node(true)? {
                Found::Node(node) => nodes.extend(node),
                Found::Ended(Ended::End) => return Err("unexpected {{end}}".to_owned()),
                Found::Ended(Ended::Else) => return Err("unexpected {{else}}".to_owned()),
            }
        }
        Ok(nodes)
    }

    /// Nodes up to `{{end}}` or `{{else`.
    fn list(&mut self) -> Result<(Vec<Node>, Ended), String> {
        self.deeper()?;
        let mut nodes = Vec::new();
        while *self.peek() != Kind::End {
            match self.node(false)? {
                Found::Node(node) => nodes.extend(node),
                Found::Ended(ended) => {
                    self.depth -= 1;
                    return Ok((nodes, ended));
                }
            }
        }
        self.next();
        Err("unexpected EOF".to_owned())
    }

    fn node(&mut self, is_top: bool) -> Result<Found, String> {
        match self.next() {
            Kind::Text(text) => Ok(Found::Node(Some(Node::Text(text)))),
            Kind::Open => self.action(is_top),
            other => Err(format!("unexpected {} in input", other.shown())),
        }
    }

    fn action(&mut self, is_top: bool) -> Result<Found, String> {
        let start = self.at;
        let Kind::Word(word) = self.next_after_space() else {
            self.at = start;
            return self.plain_action();
        };
        let node = match word.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => {
                self.ranges += 1;
                let branch = self.branch("range")?;
                self.ranges -= 1;
                Node::Range(branch)
            }
            "end" => {
                self.close("end")?;
                return Ok(Found::Ended(Ended::End));
            }
            "else" => {
                let behind = self.peek_after_space();
                let is_chained =
                    matches!(&behind, Kind::Word(word) if word == "if" || word == "with");
                if !is_chained {
                    self.close("else")?;
                }
                return Ok(Found::Ended(Ended::Else));
            }
            "break" | "continue" => {
                if self.ranges == 0 {
                    return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                self.close(&format!("{{{{{word}}}}}"))?;
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "template" => self.call()?,
            "block" => self.block()?,
            "define" if is_top => {
                self.define()?;
                return Ok(Found::Node(None));
            }
            "define" => return Err("unexpected <define> in command".to_owned()),
            _ => {
                self.at = start;
                return self.plain_action();
            }
        };
        Ok(Found::Node(Some(node)))
    }

    fn plain_action(&mut self) -> Result<Found, String> {
        let pipeline = self.pipeline("command", &Kind::Close)?;
        Ok(Found::Node(Some(Node::Action(pipeline))))
    }

    fn close(&mut self, context: &str) -> Result<(), String> {
        match self.next_after_space() {
            Kind::Close => Ok(()),
            other => Err(unexpected(&other, context)),
        }
    }

    fn branch(&mut self, context: &str) -> Result<Branch, String> {
        self.deeper()?;
        let known = self.variables.len();
        let pipeline = self.pipeline(context, &Kind::Close)?;
        let (then, ended) = self.list()?;
        let mut otherwise = Vec::new();
        if ended == Ended::Else {
            if let Kind::Word(word) = self.peek_after_space() {
                // `{{else if}}` is an `{{if}}` within, which takes the end.
                self.next();
                let branch = self.branch(&word)?;
                let chained = if word == "if" { Node::If(branch) } else { Node::With(branch) };
                otherwise.push(chained);
            } else {
                let (nodes, ended) = self.list()?;
                if ended == Ended::Else {
                    return Err("expected end; found {{else}}".to_owned());
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Branch { pipeline, then, otherwise })
    }

    fn name_of_template(&mut self, context: &str) -> Result<String, String> {
        match self.next_after_space() {
            Kind::Quoted(text) => unquoted(&text),
            other => Err(unexpected(&other, context)),
        }
    }

    fn call(&mut self) -> Result<Node, String> {
        let name = self.name_of_template("template clause")?;
        let pipeline = if self.peek_after_space() == Kind::Close {
            self.next();
            None
        } else {
            Some(self.pipeline("template clause", &Kind::Close)?)
        };
        Ok(Node::Call { name, pipeline })
    }

    fn block(&mut self) -> Result<Node, String> {
        let name = self.name_of_template("block clause")?;
        let pipeline = self.pipeline("block clause", &Kind::Close)?;
        self.body_of(&name, "block")?;
        Ok(Node::Call { name, pipeline: Some(pipeline) })
    }

    fn define(&mut self) -> Result<(), String> {
        let name = self.name_of_template("define clause")?;
        self.close("define clause")?;
        self.body_of(&name, "define")
    }

    /// A template of its own: it sees no variable of the one around.
    fn body_of(&mut self, name: &str, context: &str) -> Result<(), String> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, ended) = self.list()?;
        (self.variables, self.ranges) = (outside, ranges);
        if ended == Ended::Else {
            return Err(format!("unexpected {{{{else}}}} in {context} clause"));
        }
        self.template.defined.insert(name.to_owned(), nodes);
        Ok(())
    }

    fn pipeline(&mut self, context: &str, end: &Kind) -> Result<Pipeline, String> {
        let mut pipeline = Pipeline::default();
        self.declarations(context, &mut pipeline)?;
        loop {
            match self.next_after_space() {
                kind if kind == *end => break,
                Kind::Word(_)
                | Kind::Dot
                | Kind::Field(_)
                | Kind::Variable(_)
                | Kind::Number(_)
                | Kind::Quoted(_)
                | Kind::ParenOpen => {
                    self.at -= 1;
                    let command = self.command()?;
                    pipeline.commands.push(command);
                }
                other => return Err(unexpected(&other, context)),
            }
        }
        if pipeline.commands.is_empty() {
            return Err(format!("missing value for {context}"));
        }
        for (stage, command) in pipeline.commands.iter().enumerate().skip(1) {
            let is_value = matches!(
                command[0],
                Operand::Boolean(_)
                    | Operand::Dot
                    | Operand::Nil
                    | Operand::Number(_)
                    | Operand::Text(_)
            );
            if is_value {
                let stage = stage + 1;
                return Err(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, context: &str, pipeline: &mut Pipeline) -> Result<(), String> {
        let start = self.at;
        let mut names = Vec::new();
        while let Kind::Variable(name) = self.peek_after_space() {
            self.next();
            names.push(name);
            match self.peek_after_space() {
                kind @ (Kind::Declare | Kind::Assign) => {
                    self.next();
                    pipeline.is_assignment = kind == Kind::Assign;
                    if pipeline.is_assignment {
                        names.iter().try_for_each(|name| self.known(name))?;
                    } else {
                        self.variables.extend(names.iter().cloned());
                    }
                    pipeline.variables = names;
                    return Ok(());
                }
                Kind::Character(',') if context == "range" && names.len() < 2 => {
                    self.next();
                }
                Kind::Character(',') => return Err(format!("too many declarations in {context}")),
                _ => break,
            }
        }
        self.at = start;
        Ok(())
    }

    fn known(&self, name: &str) -> Result<(), String> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(format!("undefined variable {name:?}"))
    }

    /// Operands up to a bar or the end of the pipeline, which is left.
    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            self.peek_after_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.next() {
                Kind::Space => {}
                Kind::Close | Kind::ParenClose => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => {
                    // What follows the bar is looked at by the pipeline: it may not end there.
                    if matches!(self.peek_after_space(), Kind::Close | Kind::ParenClose) {
                        return Err("missing value for command".to_owned());
                    }
                    break;
                }
                other => return Err(unexpected(&other, "operand")),
            }
        }
        if operands.is_empty() { Err("empty command".to_owned()) } else { Ok(operands) }
    }

    fn operand(&mut self) -> Result<Option<Operand>, String> {
        let start = self.at;
        let operand = match self.next() {
            Kind::Word(word) => self.word(word)?,
            Kind::Dot => Operand::Dot,
            Kind::Variable(name) => {
                self.known(&name)?;
                Operand::Variable(name)
            }
            Kind::Field(name) => Operand::Field(vec![name]),
            Kind::Number(text) => Operand::Number(text),
            Kind::Quoted(text) => Operand::Text(unquoted(&text)?),
            Kind::ParenOpen => {
                self.deeper()?;
                let inner = self.pipeline("parenthesized pipeline", &Kind::ParenClose)?;
                self.depth -= 1;
                Operand::Paren(Box::new(inner))
            }
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        let mut fields = Vec::new();
        while let Kind::Field(name) = self.peek().clone() {
            self.next();
            fields.push(name);
        }
        Ok(Some(match operand {
            operand if fields.is_empty() => operand,
            Operand::Field(mut first) => {
                first.append(&mut fields);
                Operand::Field(first)
            }
            operand @ (Operand::Boolean(_)
            | Operand::Nil
            | Operand::Number(_)
            | Operand::Text(_)
            | Operand::Dot) => {
                return Err(format!("unexpected . after term {}", shown(&operand)));
            }
            operand => Operand::Chain(Box::new(operand), fields),
        }))
    }

    fn word(&self, word: String) -> Result<Operand, String> {
        Ok(match word.as_str() {
            "true" => Operand::Boolean(true),
            "false" => Operand::Boolean(false),
            "nil" => Operand::Nil,
            name if is_function(name) => Operand::Function(word),
            name if crate::template::token::KEYWORDS.contains(&name) => {
                return Err(format!("unexpected <{name}> in command"));
            }
            name => return Err(format!("function {name:?} not defined")),
        })
    }
}

enum Found {
    Node(Option<Node>),
    Ended(Ended),
}

fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name) || FUNCTIONS_LAST.contains(&name)
}

fn unexpected(kind: &Kind, context: &str) -> String {
    format!("unexpected {} in {context}", kind.shown())
}

fn unquoted(text: &str) -> Result<String, String> {
    unquote(text).map_err(|_| "invalid syntax".to_owned())
}

fn shown(operand: &Operand) -> String {
    match operand {
        Operand::Boolean(value) => format!("{:?}", value.to_string()),
        Operand::Number(text) | Operand::Text(text) => format!("{text:?}"),
        Operand::Dot => "\".\"".to_owned(),
        _ => "\"nil\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parse("t", text, &["$labels", "$value"]) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn templates_of_rules_are_read() {
        check("plain", "ok");
        check("{{ $labels.instance }} of {{$labels.job}}: {{ $value | humanize }}", "ok");
        check("{{ with query \"up\" }}{{ . | first | value }}{{ else }}none{{ end }}", "ok");
        check("{{ range $i, $x := query `up` }}{{ $x.Labels.job }}{{ end }}", "ok");
        check("{{ if gt $value 1.5e3 }}a{{ else if eq 1 2 }}b{{ else }}c{{ end }}", "ok");
        check("a {{- /* gone */ -}} b {{- 1 -}} c", "ok");
        check("{{ define \"x\" }}{{ . }}{{ end }}{{ template \"x\" . }}", "ok");
        check("{{ (index (query \"up\") 0).Labels.job }} {{ printf \"%.2f\" $value }}", "ok");
        check("{{ range query \"up\" }}{{ if .Value }}{{ break }}{{ end }}{{ end }}", "ok");
        check("{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "ok");
    }

    #[test]
    fn faults_have_gos_words() {
        check("{{ $label.foo }}", "template: t:1: undefined variable \"$label\"");
        check("a\n{{ frobnicate 1 }}", "template: t:2: function \"frobnicate\" not defined");
        check("{{\u{a0}}}", "template: t:1: unrecognized character in action: U+00A0");
        check("{{ 1", "template: t:1: unclosed action");
        check("{{ if 1 }}a", "template: t:1: unexpected EOF");
        check("{{ end }}", "template: t:1: unexpected {{end}}");
        check("{{ }}", "template: t:1: missing value for command");
        check("{{ \"a }}", "template: t:1: unterminated quoted string");
        check("{{ (1 }}", "template: t:1: unclosed left paren");
        check("{{ 1 | 2 }}", "template: t:1: non executable command in pipeline stage 2");
        check("{{ break }}", "template: t:1: {{break}} outside {{range}}");
        check(
            "{{ if 1 }}{{ $y := 1 }}{{ end }}{{ $y }}",
            "template: t:1: undefined variable \"$y\"",
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(1000), ")".repeat(1000));
        check(&deep, "template: t:1: max expression depth exceeded");
        let deep = "{{ if 1 }}".repeat(1000);
        check(&deep, "template: t:1: max expression depth exceeded");
    }

    #[test]
    fn any_text_is_read_without_panic() {
        let parts =
            ["{{", "}}", "-", " ", "$x", ".", "\"", "(", ")", "|", "if", "end", "é", "1", ":="];
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(parts[usize::try_from(seed >> 40).unwrap_or(0) % parts.len()]);
            }
            let _ = parse("t", &text, &[]);
        }
    }
}
