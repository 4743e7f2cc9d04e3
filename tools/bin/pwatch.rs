//! See `procherd_tools::pwatch`.

fn main() -> std::process::ExitCode {
    procherd_tools::pwatch::main()
}
