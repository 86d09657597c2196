//! The committed objects are those of the committed sources: a machine without clang runs them.

const BUILT: &str = env!("OUT_DIR");
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/objects");

fn read(directory: &str, name: &str) -> Vec<u8> {
    std::fs::read(format!("{directory}/{name}")).unwrap_or_default()
}

#[test]
fn committed_objects_are_of_these_sources() {
    let (built, committed) = (read(BUILT, "sources.md5"), read(COMMITTED, "sources.md5"));
    assert!(built == committed, "copy what clang-19 made in {BUILT} to ebpf/objects");
    let compiler = String::from_utf8(read(BUILT, "compiler")).unwrap();
    if !compiler.contains("clang version 19.1.7") {
        println!("skipped: bytes are compared with clang 19.1.7, this build used {compiler:?}");
        return;
    }
    for object in ["sched", "block", "tcp", "irq", "mm", "fs", "sys"] {
        let name = format!("{object}.bpf.o");
        let same = read(BUILT, &name) == read(COMMITTED, &name);
        assert!(same, "ebpf/objects/{name} is not what {compiler} makes of the sources");
    }
}
