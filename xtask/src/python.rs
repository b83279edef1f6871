//! Tools from the Python package index: each in a virtual environment of its own below `target`, in the
//! versions and the bytes that its `requirements.txt` names.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::command::{capture, run};

/// The oldest Python that the tools run on.
const OLDEST: (u32, u32) = (3, 11);

/// Makes a virtual environment with a tool in it, unless the last one is still right. Returns its Python.
///
/// `folder` has the requirements, and `place` gets the environment; both are relative to the workspace.
pub(crate) fn install(
    root: &Path,
    name: &str,
    folder: &str,
    place: &str,
) -> anyhow::Result<PathBuf> {
    let version = capture(Command::new("python3").args([
        "-c",
        "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)",
    ]))?;
    let mut words = version.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    let found = number().zip(number()).context("`python3` does not tell its version")?;
    ensure!(
        found >= OLDEST,
        "`python3` is Python {}.{}, and {name} needs {}.{} or later\n\
         hint: install a newer one and put it first on the PATH, as Debian 12 and Ubuntu 24.04 have",
        found.0,
        found.1,
        OLDEST.0,
        OLDEST.1,
    );

    let requirements = root.join(folder).join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("reading `{}`", requirements.display()))?;
    // Which Python, and which packages: whatever changes makes another environment.
    let wanted = format!("{version}\n{wanted}");
    let place = root.join(place);
    let (environment, stamp) = (place.join("venv"), place.join("installed"));
    let python = environment.join("bin").join("python");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.is_file() {
        return Ok(python);
    }
    fs::create_dir_all(&place).context("there is no place for the virtual environment")?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment)).context(
        "the virtual environment could not be made\n\
         hint: install it with `sudo apt-get install python3-venv` and start again\n\
         cause",
    )?;
    // Only what is named, only in these bytes, and nothing that runs code while it is installed.
    let options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet"];
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--disable-pip-version-check"])
        .args(options)
        .arg("--requirement")
        .arg(&requirements))
    .with_context(|| {
        format!(
            "{name} could not be installed from the Python package index\n\
             hint: run it where the index can be reached, or set `PIP_INDEX_URL` to a mirror\n\
             cause"
        )
    })?;
    fs::write(&stamp, wanted).context("what is installed could not be noted")?;
    Ok(python)
}
