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

/// Keys that are secret within one section only: section, key.
const SECRET_WITHIN: [(&str, &str); 1] = [("tls_config", "key")];
/// Sections all of whose values are secret.
const SECRET_SECTIONS: [&str; 1] = ["proxy_connect_header"];

const SECRET: &str = "<secret>";

/// `node` as YAML.
#[must_use]
pub fn yaml(node: &Node) -> String {
    let mut text = String::new();
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => write_map(&mut text, entries, 0, ""),
        Kind::Null => {}
        _ => write_value(&mut text, node, 0, ""),
    }
    text
}

fn write_map(text: &mut String, entries: &[(Node, Node)], indent: usize, section: &str) {
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
        if is_secret(section, name) {
            write_secret(text, value);
        } else if let (true, Kind::Scalar { text: url, .. }) = (name == "proxy_url", &value.kind) {
            text.push_str(&format!(" {}\n", quoted(&without_password(url))));
        } else {
            write_value(text, value, indent, name);
        }
    }
}

fn is_secret(section: &str, name: &str) -> bool {
    SECRET_KEYS.contains(&name)
        || SECRET_WITHIN.contains(&(section, name))
        || SECRET_SECTIONS.contains(&section)
}

/// A URL whose password, when it has one, is replaced as upstream does.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}://{user}:xxxxx@{host}"),
        _ => url.to_owned(),
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
fn write_value(text: &mut String, value: &Node, indent: usize, section: &str) {
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
                        write_map(text, entries, indent + 2, section);
                    }
                    _ => write_value(text, item, indent + 2, section),
                }
            }
        }
        Kind::Map(entries) => {
            text.push('\n');
            pad(text, indent + 2);
            write_map(text, entries, indent + 2, section);
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
    tls_config: {key: hunter2, server_name: key}
    proxy_url: http://u:hunter2@p:1
    proxy_connect_header: {X: [hunter2]}
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
  tls_config:
    key: <secret>
    server_name: key
  proxy_url: \"http://u:xxxxx@p:1\"
  proxy_connect_header:
    X: [<secret>]
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
