//! The step `client`: a typed client is generated of the published document of the management API, is
//! checked by a type checker, and calls the built binary. So the document is one that such generators
//! understand, and says what is.

use std::{
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    command::{capture, cargo, run},
    python,
    server::Server,
};

/// The tools' requirements and the caller, relative to the workspace.
const FOLDER: &str = "xtask/client";

/// Where they are installed, and where the client is made; relative to the workspace.
const PLACE: &str = "target/client";

pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let python = python::install(root, "openapi-python-client", FOLDER, PLACE)?;
    let place = root.join(PLACE);
    let client = place.join("roster_client");
    // The generator calls `ruff`, which is installed beside it.
    let programs = python.parent().context("Python has no folder")?.to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&others)))?;
    run(Command::new(&python)
        .args(["-m", "openapi_python_client", "generate", "--meta", "none", "--overwrite"])
        .arg("--fail-on-warning")
        .arg("--config")
        .arg(root.join(FOLDER).join("config.yml"))
        .arg("--path")
        .arg(root.join("docs/api/openapi.json"))
        .arg("--output-path")
        .arg(&client)
        .env("PATH", &path))?;
    let caller = root.join(FOLDER).join("call.py");
    run(Command::new(&python)
        .args(["-m", "mypy", "--config-file"])
        .arg(root.join(FOLDER).join("mypy.ini"))
        .arg("--cache-dir")
        .arg(place.join("mypy"))
        .arg(&client)
        .arg(&caller)
        .env("MYPYPATH", &place))?;

    run(&mut cargo(root, ["build", "--package", "roster"]))?;
    let data = place.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).context("the last run's database cannot be removed")?;
    }
    let server = Server::start_on(&root.join("target/debug/roster"), &data, None)?;
    let key = capture(&mut server.beside(&["api-key", "create", "--json"]))?;
    let key: Value =
        serde_json::from_str(&key).context("`roster api-key create` printed no JSON")?;
    let key = key["api_key"].as_str().context("`roster api-key create` did not tell the key")?;
    let mut calling = Command::new(&python)
        .arg(&caller)
        .arg(format!("http://{}", server.address()))
        .env("PYTHONPATH", &place)
        .stdin(Stdio::piped())
        .spawn()
        .context("its Python could not be started")?;
    let mut input = calling.stdin.take().expect("the input was asked for as a pipe");
    input.write_all(key.as_bytes()).context("it did not take the key")?;
    drop(input);
    let status = calling.wait()?;
    ensure!(status.success(), "the generated client ended with {status}; what it says is above");
    Ok(())
}
