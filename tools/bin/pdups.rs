//! See `procherd_tools::pdups`.

fn main() -> std::process::ExitCode {
    procherd_tools::pdups::main()
}
