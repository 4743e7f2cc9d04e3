//! See `procherd_tools::pkill_tree`.

fn main() -> std::process::ExitCode {
    procherd_tools::pkill_tree::main()
}
