//! The `rowcast` binary: everything lives in the library, so that tests start the same thing.

fn main() -> std::process::ExitCode {
    rowcast::cli::main()
}
