//! The program `mv`; everything is in the library.

fn main() -> std::process::ExitCode {
    mv_cli::main()
}
