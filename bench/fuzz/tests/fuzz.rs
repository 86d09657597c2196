//! Gives every target the inputs of its corpus, in which each finding stays. Built with the feature
//! `libfuzzer` it is the fuzzer of the target that `FUZZ_TARGET` names: `bench/fuzz/run`.

#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    use std::sync::OnceLock;

    use fuzz::targets::{Target, find};

    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        find(&name).expect("a target")
    });
    target(data);
});

#[cfg(not(feature = "libfuzzer"))]
fn main() {
    use std::fs;
    use std::path::Path;

    use fuzz::targets::{TARGETS, find};

    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let named = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory of inputs");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
        names.map(|name| name.expect("a name in ASCII")).collect()
    };
    for name in named(&corpus) {
        assert!(find(&name).is_some(), "corpus/{name} has no target");
    }
    for (name, target) in TARGETS {
        let inputs = named(&corpus.join(name));
        assert!(!inputs.is_empty(), "{name} has no inputs");
        for input in &inputs {
            let path = corpus.join(name).join(input);
            println!("{name}/{input}");
            target(&fs::read(path).expect("an input"));
        }
    }
}
