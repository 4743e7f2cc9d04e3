//! See `procherd_tools::ptrack`.

fn main() -> std::process::ExitCode {
    procherd_tools::ptrack::main()
}
