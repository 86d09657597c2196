//! Print: a tree as YAML again, secrets replaced, for `/api/v1/status/config`.

use crate::config::tree::{Kind, Node};

/// Keys whose values are secret wherever they stand.
const SECRET_KEYS: [&str; 12] = [
    "password",
    "credentials",
    "bearer_token",
    "secrets",
    "client_secret",
    "secret_key",
    "secret",
    "token",
    "auth_token",
    "application_secret",
    "consumer_key",
    "service_account_key",
];

const SECRET: &str = "<secret>";

/// `node` as YAML.
#[must_use]
pub fn yaml(node: &Node) -> String {
    let mut text = String::new();
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => write_map(&mut text, entries, 0),
        Kind::Null => {}
        _ => write_value(&mut text, node, 0),
    }
    text
}

fn write_map(text: &mut String, entries: &[(Node, Node)], indent: usize) {
    for (at, (key, value)) in entries.iter().enumerate() {
        if at != 0 || indent == 0 {
            pad(text, indent);
        }
        let name = match &key.kind {
            Kind::Scalar { text, .. } => text.as_str(),
            _ => "",
        };
        text.push_str(&quoted(name));
        text.push(':');
        if SECRET_KEYS.contains(&name) {
            write_secret(text, value);
        } else {
            write_value(text, value, indent);
        }
    }
}

/// One mark, or one an item: how many there are is no secret.
fn write_secret(text: &mut String, value: &Node) {
    match &value.kind {
        Kind::List(items) => {
            let marks = vec![SECRET; items.len()].join(", ");
            text.push_str(&format!(" [{marks}]\n"));
        }
        _ => text.push_str(&format!(" {SECRET}\n")),
    }
}

/// What follows a key; ends the line.
fn write_value(text: &mut String, value: &Node, indent: usize) {
    match &value.kind {
        Kind::Null => text.push('\n'),
        Kind::Scalar { text: scalar, is_plain } => {
            let shown = if *is_plain { scalar.clone() } else { quoted(scalar) };
            text.push_str(&format!(" {shown}\n"));
        }
        Kind::Bytes(_) => text.push_str(" \"\"\n"),
        Kind::List(items) if items.is_empty() => text.push_str(" []\n"),
        Kind::Map(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Kind::List(items) => {
            text.push('\n');
            for item in items.iter() {
                pad(text, indent);
                text.push('-');
                match &item.kind {
                    Kind::Map(entries) if !entries.is_empty() => {
                        text.push(' ');
                        write_map(text, entries, indent + 2);
                    }
                    _ => write_value(text, item, indent + 2),
                }
            }
        }
        Kind::Map(entries) => {
            text.push('\n');
            pad(text, indent + 2);
            write_map(text, entries, indent + 2);
        }
    }
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// `text` as it is where YAML reads that as the same text, else in double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts && !is_word && text.chars().all(plain) {
        return text.to_owned();
    }
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn yaml_is_written_back_without_secrets() {
        let text = "\
scrape_configs:
  - job_name: a
    basic_auth: {username: u, password: hunter2}
    http_headers:
      X-Key:
        secrets: [hunter2, hunter3]
    static_configs:
      - targets: ['localhost:9090', \"b\"]
        labels: {}
    relabel_configs:
      - regex: (.*)
        action: keep
  - job_name: \"true\"
";
        let expected = "\
scrape_configs:
- job_name: a
  basic_auth:
    username: u
    password: <secret>
  http_headers:
    X-Key:
      secrets: [<secret>, <secret>]
  static_configs:
  - targets:
    - \"localhost:9090\"
    - b
    labels: {}
  relabel_configs:
  - regex: (.*)
    action: keep
- job_name: \"true\"
";
        let printed = yaml(&parse(text).unwrap());
        assert_eq!(printed, expected);
        assert_eq!(yaml(&parse(&printed).unwrap()), printed);
    }
}
