//! The program as the tests run it: the same main function as `mver` and `mv`.

fn main() -> std::process::ExitCode {
    mv_cli::main()
}
