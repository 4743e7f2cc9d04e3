//! See `procherd_tools::porphans`.

fn main() -> std::process::ExitCode {
    procherd_tools::porphans::main()
}
