//! Talking to the person, or the script, that started us.

use std::fmt;
use std::io::Write;

/// Prints a line to standard output. A reader that has gone away, such as `head`, is no error.
pub(crate) fn say(line: impl fmt::Display) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Prints an error with its causes to standard error.
pub(crate) fn say_error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
