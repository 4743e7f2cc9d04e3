//! See `procherd_tools::pstree_json`.

fn main() -> std::process::ExitCode {
    procherd_tools::pstree_json::main()
}
