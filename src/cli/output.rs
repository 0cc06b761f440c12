//! Writing to the terminal. A reader that has gone away is no error of ours.

use std::io::Write;

/// A line of data, on standard output.
pub(super) fn print(line: &str) {
    let _reader_gone = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line for the person, on standard error.
pub(super) fn tell(line: &str) {
    let _reader_gone = writeln!(std::io::stderr().lock(), "{line}");
}

/// Why the command failed, on standard error.
pub(super) fn complain(line: &str) {
    tell(&format!("rowcast: {line}"));
}
