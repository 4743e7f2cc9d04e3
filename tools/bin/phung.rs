//! See `procherd_tools::phung`.

fn main() -> std::process::ExitCode {
    procherd_tools::phung::main()
}
