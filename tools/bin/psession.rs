//! See `procherd_tools::psession`.

fn main() -> std::process::ExitCode {
    procherd_tools::psession::main()
}
