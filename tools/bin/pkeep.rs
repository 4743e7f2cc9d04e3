//! See `procherd_tools::pkeep`.

fn main() -> std::process::ExitCode {
    procherd_tools::pkeep::main()
}
