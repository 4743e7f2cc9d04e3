//! See `procherd_tools::pfmt`.

fn main() -> std::process::ExitCode {
    procherd_tools::pfmt::main()
}
