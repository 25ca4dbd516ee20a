//! A data directory and what lies beside it.

use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::installation::{Installation, run};

/// What belongs to a data directory and lies beside it.
pub(super) fn beside(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn read_password(data: &Path) -> Result<String> {
    let file = beside(data, "password");
    let password = std::fs::read_to_string(&file).with_context(|| {
        format!(
            "the password of the database in {} should be in {}",
            data.display(),
            file.display()
        )
    })?;
    Ok(password.trim().to_owned())
}

/// Initialises into a folder beside and renames: a half initialised directory never counts.
pub(super) fn initialise(installation: &Installation, data: &Path, durable: bool) -> Result<String> {
    let account = installation.account();
    if data.exists() && std::fs::read_dir(data)?.next().is_some() {
        bail!(
            "{} is not empty and holds no PostgreSQL data: choose another folder",
            data.display()
        );
    }
    let fresh = beside(data, "initialising");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).with_context(|| format!("can't remove {}", fresh.display()))?;
    }
    account.own_dir(&fresh)?;
    account.check_reachable(&fresh, "use --data-dir or CODEX_K8S_DATA_DIR")?;

    let password = hex::encode(rand::random::<[u8; 24]>());
    // initdb reads the password from a file, which must be the account's.
    let handed = beside(data, "initialising-password");
    write_private(&handed, &password)?;
    if let Account::Nobody { uid, gid } = account {
        chown(&handed, Some(uid), Some(gid))?;
    }
    let mut initdb = installation.command("initdb");
    initdb.args(["--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256"]);
    initdb.args([
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]);
    initdb
        .arg(format!("--pwfile={}", handed.display()))
        .arg("-D")
        .arg(&fresh);
    if !durable {
        initdb.arg("--no-sync");
    }
    let result = run(&mut initdb).context(
        "can't initialise the database (PostgreSQL needs an account that the system knows, with an entry in \
         /etc/passwd)",
    );
    std::fs::remove_file(&handed)?;
    result?;

    write_private(&beside(data, "password"), &password)?;
    if data.exists() {
        std::fs::remove_dir(data)?;
    }
    std::fs::rename(&fresh, data)
        .with_context(|| format!("can't move the database to {}", data.display()))?;
    Ok(password)
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut open = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(open.write_all(text.as_bytes())?)
}
