//! Compiles the kernel's programs where clang is there, else takes the committed objects.
//!
//! Their recorded hash of the sources must match: an object that shadows an edit is worse than
//! none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use md5::{Digest, Md5};

/// Tried in this order; `BPF_CLANG` comes first. Any from 14 on gives an object that loads; CI
/// compares the bytes of the first with those committed.
const COMPILERS: [&str; 5] = ["clang-19", "clang-22", "clang-16", "clang-14", "clang"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=programs");
    println!("cargo::rerun-if-changed=objects");
    println!("cargo::rerun-if-env-changed=BPF_CLANG");
    let sources = sources(&here.join("programs"));
    let hash = hash(&sources);
    fs::write(out.join("sources.md5"), &hash).expect("OUT_DIR can be written");
    let programs: Vec<&PathBuf> =
        sources.iter().filter(|path| path.to_string_lossy().ends_with(".bpf.c")).collect();
    if let Some((compiler, version)) = compiler() {
        fs::write(out.join("compiler"), version).expect("OUT_DIR can be written");
        for program in programs {
            compile(&compiler, &here, program, &out.join(object_name(program)));
        }
        return;
    }
    fs::write(out.join("compiler"), "none").expect("OUT_DIR can be written");
    let committed = here.join("objects");
    let recorded = fs::read_to_string(committed.join("sources.md5")).unwrap_or_default();
    assert!(
        recorded.trim() == hash,
        "ebpf/programs was edited and no clang is there to compile it: install Debian's clang-19"
    );
    for program in programs {
        let name = object_name(program);
        fs::copy(committed.join(&name), out.join(&name)).expect("a committed object is there");
    }
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("ebpf/programs is there");
    let mut sources: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the directory can be read").path()).collect();
    sources.sort();
    sources
}

fn hash(sources: &[PathBuf]) -> String {
    let mut hash = Md5::new();
    for source in sources {
        hash.update(fs::read(source).expect("a source can be read"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn object_name(program: &Path) -> String {
    let name = program.file_name().expect("a source is a file").to_string_lossy();
    name.replace(".bpf.c", ".bpf.o")
}

/// The first that is there, and the first line of what it says of its version.
fn compiler() -> Option<(String, String)> {
    let asked = env::var("BPF_CLANG").ok();
    let mut all = asked.into_iter().chain(COMPILERS.map(str::to_owned));
    all.find_map(|name| {
        let said = Command::new(&name).arg("--version").output().ok()?.stdout;
        let version = String::from_utf8_lossy(&said).lines().next()?.to_owned();
        Some((name, version))
    })
}

fn compile(compiler: &str, here: &Path, program: &Path, object: &Path) {
    let status = Command::new(compiler)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror"])
        // The same bytes from any directory.
        .arg(format!("-ffile-prefix-map={}=.", here.display()))
        .arg("-fdebug-compilation-dir=.")
        .arg("-c")
        .arg(program)
        .arg("-o")
        .arg(object)
        .status()
        .expect("the compiler answered a moment ago");
    assert!(status.success(), "{compiler} cannot compile {}", program.display());
}
