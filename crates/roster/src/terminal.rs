//! Talking to the person, or the script, that started us.

use std::fmt;
use std::io::Write;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use simulator::report::{Exchange, Outcome, Step};

/// Prints a line to standard output. A reader that has gone away, such as `head`, is no error.
pub(crate) fn say(line: impl fmt::Display) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Prints a warning to standard error.
pub(crate) fn say_warning(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {text}");
}

/// Prints an error with its causes to standard error.
pub(crate) fn say_error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}

/// Prints what came of one action, with what is said about it in the background. Colours are for
/// eyes only: where nobody watches, there are none.
pub(crate) fn say_step(step: &Step) {
    let good = AnsiColor::Green.on_default().bold();
    let bad = AnsiColor::Red.on_default().bold();
    let mark = if step.outcome == Outcome::Failed { bad } else { good };
    let text = step.to_string();
    let mut output = AutoStream::auto(std::io::stdout()).lock();
    for (place, line) in text.lines().enumerate() {
        // The first line begins with a word that says how it went.
        let (first, rest) = line.split_at(if place == 0 { line.find(' ').unwrap_or(0) } else { 0 });
        let (style, plain) =
            if place == 0 { (mark, Style::new()) } else { (mark, Style::new().dimmed()) };
        let _ = writeln!(output, "{style}{first}{style:#}{plain}{rest}{plain:#}");
    }
    let _ = output.flush();
}

/// Prints a line for each request of an action, with what was answered and what the provider makes
/// of that. Credentials travel in headers only, which are not shown.
pub(crate) fn say_exchanges(step: &Step) {
    for exchange in &step.exchanges {
        let Exchange { number, request, verdict, .. } = exchange;
        say(format_args!(
            "  {number:>6}  {} {} -> {}, {}",
            request.method.as_str(),
            request.path_and_query,
            exchange.status(),
            verdict.as_str()
        ));
    }
}
