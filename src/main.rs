use std::process::ExitCode;

fn main() -> ExitCode {
    marts::cli::main()
}
