//! See `procherd_tools::phealth`.

fn main() -> std::process::ExitCode {
    procherd_tools::phealth::main()
}
