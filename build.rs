//! Asks the linker for smaller programs, where it can give them: a smaller program also starts sooner.
//!
//! - Functions whose code is the same are folded: some twenty kilobytes each. Nothing here compares addresses of
//!   functions.
//! - The unwinder comes with the program, not as a library that has to be found and mapped, and that asks the processor
//!   what it is (`cpuid`, slow in a virtual machine): a sixth of the start-up of an empty program.
//! - A release ends at once when it panics (`panic = "abort"`), so what unwinding would need is left out: some two
//!   hundred kilobytes each. The message of a panic says where it was; there are no names of functions to go with a
//!   backtrace in a stripped program anyway.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLD: &str = "-Wl,--icf=all";

/// For the linker, in a file with the name of the shared unwinder: take the static one.
const UNWINDER: &str = "INPUT(-lgcc_eh -lgcc)\n";

/// For the linker: what only unwinding reads is dropped, all else stays where it would be.
const DROP: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table*) } } INSERT AFTER .text;\n";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    ask(&[FOLD.to_owned()]);
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let script = folder().join("drop.ld");
        if std::fs::write(&script, DROP).is_ok() {
            ask(&["-Wl,--no-eh-frame-hdr".to_owned(), format!("-Wl,-T,{}", script.display())]);
        }
        if std::fs::write(folder().join("libgcc_s.so"), UNWINDER).is_ok() {
            ask(&[format!("-L{}", folder().display())]);
        }
    }
}

fn folder() -> PathBuf {
    std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default()
}

/// Asks for options, if the linker of this target knows them: bfd knows fewer.
fn ask(options: &[String]) {
    if works(&folder(), options).unwrap_or(false) {
        for option in options {
            println!("cargo:rustc-link-arg-bins={option}");
        }
    }
}

/// Links a small program with the options, and runs it where this machine can.
fn works(folder: &Path, options: &[String]) -> Option<bool> {
    let (source, program) = (folder.join("probe.rs"), folder.join("probe"));
    std::fs::write(&source, "fn main() { println!(\"{}\", std::env::args().count()); }\n").ok()?;
    let target = std::env::var_os("TARGET")?;
    let mut compiler = Command::new(std::env::var_os("RUSTC")?);
    compiler.args(["-C", "panic=abort", "--target"]).arg(&target);
    compiler.args(options.iter().map(|option| format!("-Clink-arg={option}")));
    compiler.arg("-o").arg(&program).arg(source).stderr(Stdio::null());
    let links = compiler.status().ok()?.success();
    let native = std::env::var_os("HOST").is_some_and(|host| host == target);
    let runs = || Command::new(&program).stdout(Stdio::null()).status().is_ok_and(|end| end.success());
    Some(links && (!native || runs()))
}
