//! See `procherd_tools::pports`.

fn main() -> std::process::ExitCode {
    procherd_tools::pports::main()
}
