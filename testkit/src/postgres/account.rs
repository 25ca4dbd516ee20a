//! Who runs PostgreSQL. It refuses to run as root, so root hands it to `nobody`, and everything that it
//! reads and writes must then be reachable for that account.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The account that PostgreSQL's programs run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// The caller's own.
    Own,
    /// `nobody`, because the caller is root.
    Nobody {
        /// Numeric user.
        uid: u32,
        /// Numeric group.
        gid: u32,
    },
}

/// A path that the account can't get to.
#[derive(Debug, thiserror::Error)]
#[error(
    "the account `nobody`, which runs PostgreSQL for root, can't reach {path}: a folder above it is closed to \
     others; choose another place ({instead})"
)]
pub struct UnreachablePath {
    /// The path.
    pub path: PathBuf,
    /// What to set instead.
    pub instead: &'static str,
}

impl Account {
    /// The account for this process.
    pub fn of_this_process() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        if !has_setpriv() {
            bail!(
                "PostgreSQL refuses to run as root, and `setpriv` (package util-linux), which would run it as \
                 `nobody`, is missing: install it, or run this as another user"
            );
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = ids_of("nobody", &passwd).unwrap_or((65534, 65534));
        Ok(Self::Nobody { uid, gid })
    }

    /// A command under this account, with an environment that PostgreSQL's own variables don't disturb.
    /// On Linux it gets SIGINT (for the server: fast shutdown) when the thread that spawned it ends.
    pub fn command(self, program: &Path) -> Command {
        let mut command = match self {
            Self::Nobody { uid, gid } => {
                let mut command = Command::new("setpriv");
                command.args([
                    &format!("--reuid={uid}"),
                    &format!("--regid={gid}"),
                    "--clear-groups",
                ]);
                command.args(["--pdeathsig", "INT", "--"]).arg(program);
                command
            }
            Self::Own if has_setpriv() => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "INT", "--"]).arg(program);
                command
            }
            Self::Own => Command::new(program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// Makes a folder that belongs to the account and that only it can look into.
    pub fn own_dir(self, path: &Path) -> Result<()> {
        std::fs::create_dir_all(path).with_context(|| format!("can't create {}", path.display()))?;
        if let Self::Nobody { uid, gid } = self {
            chown(path, Some(uid), Some(gid))
                .with_context(|| format!("can't give {} to `nobody`", path.display()))?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("can't close {} to others", path.display()))?;
        Ok(())
    }

    /// Fails if the account can't get to `path`, whose owner or mode may be right while a folder above it is
    /// closed. `instead` tells people what to set.
    pub fn check_reachable(self, path: &Path, instead: &'static str) -> Result<(), UnreachablePath> {
        let Self::Nobody { uid, gid } = self else {
            return Ok(());
        };
        // A folder that isn't there yet will be made open.
        let open = |folder: &Path| {
            std::fs::metadata(folder).map_or(true, |meta| {
                let bit = match () {
                    () if meta.uid() == uid => 0o100,
                    () if meta.gid() == gid => 0o010,
                    () => 0o001,
                };
                meta.mode() & bit != 0
            })
        };
        if path.ancestors().skip(1).all(open) {
            Ok(())
        } else {
            Err(UnreachablePath {
                path: path.to_owned(),
                instead,
            })
        }
    }
}

fn has_setpriv() -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|dir| dir.join("setpriv").is_file())
}

fn ids_of(user: &str, passwd: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_nobody() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:99:98:Nobody:/:/sbin/nologin\n";
        assert_eq!(ids_of("nobody", passwd), Some((99, 98)));
        assert_eq!(ids_of("nobody", "nobodyelse:x:1:2::/:\n"), None);
    }

    #[test]
    fn a_closed_folder_above_is_noticed() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("data");
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(outer.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let account = Account::Nobody {
            uid: 65_533,
            gid: 65_533,
        };
        assert!(
            account
                .check_reachable(&inner, "set X")
                .unwrap_err()
                .to_string()
                .contains("set X")
        );
        std::fs::set_permissions(outer.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        account.check_reachable(&inner, "set X").unwrap();
        assert!(Account::Own.check_reachable(Path::new("/nowhere"), "").is_ok());
    }
}
