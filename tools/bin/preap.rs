//! See `procherd_tools::preap`.

fn main() -> std::process::ExitCode {
    procherd_tools::preap::main()
}
