//! What names targets: groups in files and answers as JSON and YAML, answers of a name server.
#![no_main]

use discovery::dns::message::{Kind, answer};
use discovery::dns::system::System;
use discovery::group::{read_json, read_yaml};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let source = |at: usize| at.to_string();
    let groups = match which % 4 {
        0 => read_json(bytes, &[("a", "b")], source),
        1 => match std::str::from_utf8(bytes) {
            Ok(text) => read_yaml(text, &[("a", "b")], source),
            Err(_) => return,
        },
        2 => {
            for kind in ["A", "AAAA", "SRV", "MX", "NS"] {
                let kind = Kind::find(kind).expect("a kind");
                let _ = answer(bytes, 0x0101, "a.b", kind);
            }
            return;
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = System::parse(text).names("a.b");
            }
            return;
        }
    };
    for group in groups.unwrap_or_default() {
        let _ = group.label_sets().count();
    }
});
