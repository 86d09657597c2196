//! Reference: the pages of docs/operating, written from the tables that the code reads by.

use crate::config::field::{Field, Support};
use crate::config::fields::TABLES;
use crate::flags::{FEATURES, FLAGS, Form};

/// The page of the configuration file.
#[must_use]
pub fn configuration() -> String {
    let mut page = "# Configuration file\n\n".to_owned();
    page.push_str(
        "The file is Prometheus's `prometheus.yml`, read strictly: an unknown field, a field \
         twice, a value\nof the wrong form is refused with its line and column. What Prometheus \
         can do and this server cannot\nis refused by name, never ignored. \
         `cresset check config FILE` says all of it without running; SIGHUP\nand `POST /-/reload` \
         read the file again and keep the old configuration when the new one is refused.\n\
         `cresset config schema` writes a JSON schema by which editors complete and check it.\n\n\
         Durations are `1h30m` or `15s`; sizes are `15MB`, by 1024. This page is written from the \
         tables in\n`appliance/server/src/config/fields`.\n",
    );
    for table in TABLES {
        page.push_str(&format!("\n## {}\n", table.title));
        if !table.doc.is_empty() {
            page.push_str(&format!("\n{}\n", table.doc));
        }
        let done = |field: &&Field| !matches!(field.support, Support::No(_));
        let rows: Vec<String> = table.fields().filter(done).map(option_row).collect();
        if !rows.is_empty() {
            page.push_str("\n| field | value | default | |\n|---|---|---|---|\n");
            page.push_str(&rows.concat());
        }
        let refused: Vec<String> = table.fields().filter_map(refused_row).collect();
        if !refused.is_empty() {
            page.push_str("\nRefused, unless empty:\n\n| field | what to do |\n|---|---|\n");
            page.push_str(&refused.concat());
        }
    }
    page
}

fn option_row(field: &Field) -> String {
    let doc = match field.support {
        Support::Yes | Support::No(_) => field.doc.to_owned(),
        Support::Notice(text) => format!("Accepted: {text}."),
        Support::Only(values, remedy) => {
            format!("{}. Otherwise: {remedy}.", values.join(" or "))
        }
    };
    let default = if field.default.is_empty() { String::new() } else { code(field.default) };
    format!("| `{}` | {} | {default} | {} |\n", field.name, cell(field.form), cell(&doc))
}

fn refused_row(field: &'static Field) -> Option<String> {
    match field.support {
        Support::No(remedy) => Some(format!("| `{}` | {} |\n", field.name, cell(remedy))),
        _ => None,
    }
}

/// The page of the command line.
#[must_use]
pub fn flags() -> String {
    let mut page = "# Command line\n\n".to_owned();
    page.push_str(
        "`cresset [FLAGS]` runs the server. `cresset check`, `query`, `promql`, `push`, `debug` \
         and `tsdb` are the tools of\npromtool, each with its own `--help`. The names of the \
         flags are Prometheus's. This page is written from the table in \
         `appliance/server/src/flags.rs`.\n\n\
         | flag | value | default | |\n|---|---|---|---|\n",
    );
    for flag in FLAGS {
        let form = match flag.form {
            Form::Switch(_) => "",
            Form::Value(form) | Form::Values(form) => form,
            Form::Unsupported(_) => continue,
        };
        let default = if flag.default.is_empty() { String::new() } else { code(flag.default) };
        let doc = cell(flag.doc);
        page.push_str(&format!("| `--{}` | {} | {default} | {doc} |\n", flag.name, cell(form)));
    }
    page.push_str("\nFlags of Prometheus that are refused:\n\n| flag | what to do |\n|---|---|\n");
    for flag in FLAGS {
        if let Form::Unsupported(remedy) = flag.form {
            page.push_str(&format!("| `--{}` | {remedy} |\n", flag.name));
        }
    }
    let names = |has_effect: bool| {
        let of_kind = FEATURES.iter().filter(|(_, effect)| *effect == has_effect);
        of_kind.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    page.push_str(&format!(
        "\nNames of `--enable-feature` with an effect: {}.\n\nAccepted without one: {}.\n",
        names(true),
        names(false)
    ));
    page
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// `text` within a table: a bar would end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The page in the tree is the one of the tables; `UPDATE_GOLDEN=1` writes it.
    #[track_caller]
    fn check(name: &str, page: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, page).expect("write the page");
        }
        let found = std::fs::read_to_string(&path).expect("read the page");
        assert!(found == page, "{name} is not what the tables say: run with UPDATE_GOLDEN=1");
    }

    #[test]
    fn pages_are_those_of_the_tables() {
        check("configuration.md", &configuration());
        check("flags.md", &flags());
    }
}
