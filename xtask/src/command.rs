//! Running other programs: shown before they run, failing by name.

use std::{
    fmt::{self, Display},
    io::Read as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// A program that ran and did not succeed. It has said why on the screen.
#[derive(Debug)]
pub(crate) struct Failed {
    line: String,
    status: ExitStatus,
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.line, self.status)
    }
}

impl std::error::Error for Failed {}

/// Prints a line. Progress goes to the error output, as cargo's does, so that the two keep their
/// order.
#[expect(clippy::print_stderr, reason = "this is a terminal program, and here is where it speaks")]
pub(crate) fn say(line: impl Display) {
    eprintln!("{line}");
}

/// `cargo` with these arguments, in the workspace.
pub(crate) fn cargo<const N: usize>(root: &Path, arguments: [&str; N]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(arguments);
    command
}

/// Shows the command, runs it with its output on the screen, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    say(format_args!("   $ {line}"));
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if status.success() { Ok(()) } else { Err(Failed { line, status }.into()) }
}

/// Runs the command unseen. `Ok` is what it printed, on either output, when it succeeded.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("`{line}` could not be started"))?;
    anyhow::ensure!(
        output.status.success(),
        "`{line}` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows the command and runs it, for no longer than the limit. `Err` is why it did not succeed;
/// its own words are part of that and not printed.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    let line = line(command);
    say(format_args!("   $ {line}"));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` could not be started"))?;
    let mut errors = child.stderr.take().expect("the error output was asked for as a pipe");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = errors.read_to_end(&mut text).map(|_| text);
        // Nobody listens any more when the limit was reached.
        drop(sender.send(read));
    });
    let Ok(text) = receiver.recv_timeout(limit) else {
        child.kill().and_then(|()| child.wait()).context("a program could not be stopped")?;
        anyhow::bail!("`{line}` was stopped after {} s", limit.as_secs());
    };
    let status = child.wait()?;
    anyhow::ensure!(
        status.success(),
        "`{line}` ended with {status}: {}",
        String::from_utf8_lossy(&text?).trim()
    );
    Ok(())
}

/// The command as a person would type it, without the folders of the program.
fn line(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}=\"{}\"", name.display(), value.display()));
        }
    }
    let program = Path::new(command.get_program());
    words.push(program.file_name().unwrap_or(program.as_os_str()).display().to_string());
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/opt/tools/cargo-deny");
        command.arg("check").env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(line(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo-deny check");
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_name() {
        let error = run(&mut cargo(Path::new("."), ["no-such-command"])).unwrap_err();
        assert!(error.is::<Failed>());
        assert!(error.to_string().starts_with("`cargo no-such-command` ended with"), "{error}");
    }

    #[test]
    fn a_program_in_time_gives_its_reason_and_one_out_of_time_is_stopped() {
        let mut wrong = cargo(Path::new("."), ["no-such-command"]);
        let error = run_within(&mut wrong, Duration::from_mins(1)).unwrap_err();
        assert!(error.to_string().contains("no such command"), "{error}");

        // It reads an input that never ends.
        let mut endless = Command::new("cat");
        endless.stdin(Stdio::piped());
        let error = run_within(&mut endless, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "`cat` was stopped after 0 s");
    }
}
