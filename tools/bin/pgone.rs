//! See `procherd_tools::pgone`.

fn main() -> std::process::ExitCode {
    procherd_tools::pgone::main()
}
