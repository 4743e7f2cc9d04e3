//! See `procherd_tools::pzombies`.

fn main() -> std::process::ExitCode {
    procherd_tools::pzombies::main()
}
