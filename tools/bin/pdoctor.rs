//! See `procherd_tools::pdoctor`.

fn main() -> std::process::ExitCode {
    procherd_tools::pdoctor::main()
}
