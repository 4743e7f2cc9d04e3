//! See `procherd_tools::pspawn`.

fn main() -> std::process::ExitCode {
    procherd_tools::pspawn::main()
}
