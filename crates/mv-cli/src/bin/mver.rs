//! The program `mver`: the same command line without the pass-through to the system's `mv`.

fn main() -> std::process::ExitCode {
    mv_cli::main()
}
