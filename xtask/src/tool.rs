//! Programs that a step needs beside cargo: how to see whether they are there, and how they come
//! when they are not. Only ordinary sources are used: the registry, rustup, the distribution.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context as _;

use crate::{
    command::{capture, cargo, run, say},
    db,
};

/// A program that a step needs.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name, as one would type it.
    pub(crate) name: &'static str,
    /// What it does for us; completes "... is needed because it ...".
    pub(crate) why: &'static str,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where a tool comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A crate of the same name, built from source into `target/tools`, once. One that is already
    /// installed on the machine is taken when it is no older than `oldest`.
    Crate { version: &'static str, oldest: Version, options: &'static [&'static str] },
    /// A part of the toolchain, called as a cargo command.
    Component { subcommand: &'static str },
    /// A program of the operating system, by the packages that bring it to Debian and Ubuntu.
    System { packages: &'static [&'static str] },
    /// A database server, which Debian and Ubuntu have in a package and not on the path.
    Postgres { packages: &'static [&'static str] },
    /// A module of the system's Python, which Debian and Ubuntu have in a package of its own.
    Python { module: &'static str, packages: &'static [&'static str] },
}

/// A version without its labels: major, minor, patch.
type Version = (u32, u32, u32);

pub(crate) const RUSTFMT: Tool = Tool {
    name: "rustfmt",
    why: "checks how the code is formatted",
    origin: Origin::Component { subcommand: "fmt" },
};

pub(crate) const CLIPPY: Tool = Tool {
    name: "clippy",
    why: "holds the lints of `Cargo.toml` and `clippy.toml`",
    origin: Origin::Component { subcommand: "clippy" },
};

pub(crate) const C_COMPILER: Tool = Tool {
    name: "cc",
    why: "compiles the SQLite that is part of the binary, and links",
    origin: Origin::System { packages: &["gcc", "libc6-dev"] },
};

pub(crate) const PYTHON: Tool = Tool {
    name: "python3",
    why: "runs what others have written: scim2-tester, the generator of a client, and a library of webhooks",
    origin: Origin::System { packages: &["python3"] },
};

pub(crate) const PYTHON_VENV: Tool = Tool {
    name: "python3-venv",
    why: "gives these a place of their own below `target`",
    origin: Origin::Python { module: "ensurepip", packages: &["python3-venv"] },
};

pub(crate) const NODE: Tool = Tool {
    name: "node",
    why: "runs what is written in JavaScript: a library of webhooks, and what looks at pages",
    origin: Origin::System { packages: &["nodejs"] },
};

pub(crate) const NPM: Tool = Tool {
    name: "npm",
    why: "installs what is written in JavaScript below `target`",
    origin: Origin::System { packages: &["npm"] },
};

pub(crate) const CHROMIUM: Tool = Tool {
    name: "chromium",
    why: "shows the pages as people see them",
    origin: Origin::System { packages: &["chromium"] },
};

pub(crate) const POSTGRES: Tool = Tool {
    name: "postgres",
    why: "is the second database that the tests are run on",
    origin: Origin::Postgres { packages: &["postgresql"] },
};

pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    why: "checks licences, sources and known vulnerabilities of every dependency",
    origin: Origin::Crate { version: "0.20.2", oldest: (0, 20, 0), options: &[] },
};

pub(crate) const CARGO_NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    why: "runs all tests side by side, stops one that hangs, and sums up in one line",
    origin: Origin::Crate {
        version: "0.9.151",
        oldest: (0, 9, 100),
        options: &["--no-default-features", "--features", "default-no-update"],
    },
};

pub(crate) const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    why: "builds a program with instruments, and changes inputs until they reach more of it",
    origin: Origin::Crate { version: "0.13.2", oldest: (0, 13, 0), options: &[] },
};

impl Tool {
    /// Installs the tool when it is missing, and says so. Returns the program.
    pub(crate) fn ensure(&self, root: &Path) -> anyhow::Result<PathBuf> {
        if let Some(program) = self.find(root) {
            return Ok(program);
        }
        say(format_args!("\n== installing `{}`, which {}", self.name, self.why));
        let start = Instant::now();
        self.install(root).with_context(|| {
            format!(
                "`{}` is missing and could not be installed\n\
                 hint: install it with `{}` and start again\n\
                 cause",
                self.name,
                self.install_line()
            )
        })?;
        let program = self.find(root).with_context(|| {
            format!(
                "`{}` was installed and still cannot be run\n\
                 hint: see what `{}` prints",
                self.name,
                self.install_line()
            )
        })?;
        say(format_args!("   installed in {:.1} s", start.elapsed().as_secs_f64()));
        Ok(program)
    }

    /// The tool with its arguments to come, in the workspace. [`Tool::ensure`] came first.
    pub(crate) fn command(&self, root: &Path) -> anyhow::Result<Command> {
        let program = self.find(root).with_context(|| format!("`{}` is missing", self.name))?;
        let mut command = Command::new(program);
        command.current_dir(root);
        Ok(command)
    }

    /// The program that does it, when there is one that is new enough.
    fn find(&self, root: &Path) -> Option<PathBuf> {
        match &self.origin {
            Origin::Crate { oldest, .. } => {
                // Ours first: it has the version that CI has.
                let ours = tools_directory(root).join("bin").join(self.name);
                [Some(ours), on_path(self.name)].into_iter().flatten().find(|program| {
                    capture(Command::new(program).arg("--version"))
                        .is_ok_and(|text| version_in(&text) >= Some(*oldest))
                })
            }
            Origin::Component { subcommand } => {
                capture(&mut cargo(root, [subcommand, "--version"])).ok()?;
                Some("cargo".into())
            }
            Origin::System { .. } => on_path(self.name),
            Origin::Postgres { .. } => db::find(),
            Origin::Python { module, .. } => {
                let python = on_path("python3")?;
                let import = format!("import {module}");
                capture(Command::new(&python).args(["-c", &import])).ok()?;
                Some(python)
            }
        }
    }

    fn install(&self, root: &Path) -> anyhow::Result<()> {
        match &self.origin {
            Origin::Crate { version, options, .. } => run(cargo(root, ["install", self.name])
                .args(["--locked", "--version", version, "--root"])
                .arg(tools_directory(root))
                .args(*options)),
            Origin::Component { .. } => {
                run(Command::new("rustup").args(["component", "add", self.name]))
            }
            Origin::System { packages }
            | Origin::Postgres { packages }
            | Origin::Python { packages, .. } => {
                anyhow::ensure!(
                    on_path("apt-get").is_some(),
                    "only packages of Debian and Ubuntu can be installed from here"
                );
                let is_root = capture(Command::new("id").arg("-u"))?.trim() == "0";
                // Who has to be asked for a password is not asked in the middle of a test.
                let may_sudo = || capture(Command::new("sudo").args(["-n", "true"])).is_ok();
                anyhow::ensure!(is_root || may_sudo(), "only root may install packages");
                let as_root = |arguments: &[&str]| {
                    let mut command = Command::new(if is_root { "env" } else { "sudo" });
                    if !is_root {
                        command.args(["-n", "env"]);
                    }
                    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
                    command
                };
                run(&mut as_root(&["update", "--quiet"]))?;
                let install = ["install", "--yes", "--no-install-recommends"];
                run(as_root(&install).args(*packages))
            }
        }
    }

    /// What a person types to install it by hand.
    fn install_line(&self) -> String {
        match &self.origin {
            Origin::Crate { version, .. } => {
                format!("cargo install {} --locked --version {version}", self.name)
            }
            Origin::Component { .. } => format!("rustup component add {}", self.name),
            Origin::System { packages }
            | Origin::Postgres { packages }
            | Origin::Python { packages, .. } => {
                format!("sudo apt-get install {}", packages.join(" "))
            }
        }
    }
}

/// Where tools are kept from one run to the next: under `target`, so that nothing is left behind.
fn tools_directory(root: &Path) -> PathBuf {
    root.join("target").join("tools")
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The first word of the text that is a version, such as `0.9.143` in `cargo-nextest 0.9.143 (…)`.
fn version_in(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.split('-').next()?.split('.').map(|part| part.parse().ok());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(major), Some(minor), Some(patch), None) => Some((major?, minor?, patch?)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_a_program_prints() {
        #[track_caller]
        fn check(text: &str, expected: Option<Version>) {
            assert_eq!(version_in(text), expected, "{text}");
        }
        check("cargo-deny 0.20.2", Some((0, 20, 2)));
        check("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143", Some((0, 9, 143)));
        check("tool 1.0.0-rc.1", Some((1, 0, 0)));
        check("tool 1.2", None);
        check("tool 1.2.3.4", None);
        check("", None);
    }

    #[test]
    fn a_missing_tool_comes_with_the_command_that_installs_it() {
        #[track_caller]
        fn check(tool: &Tool, expected: &str) {
            assert_eq!(tool.install_line(), expected);
        }
        check(&RUSTFMT, "rustup component add rustfmt");
        check(&C_COMPILER, "sudo apt-get install gcc libc6-dev");
        check(&POSTGRES, "sudo apt-get install postgresql");
        check(&PYTHON_VENV, "sudo apt-get install python3-venv");
        check(&CARGO_DENY, "cargo install cargo-deny --locked --version 0.20.2");
    }

    #[test]
    fn every_tool_that_is_installed_is_new_enough_to_be_found_again() {
        for tool in [CARGO_DENY, CARGO_FUZZ, CARGO_NEXTEST] {
            if let Origin::Crate { version, oldest, .. } = tool.origin {
                assert!(version_in(version) >= Some(oldest), "{}", tool.name);
            }
        }
    }
}
