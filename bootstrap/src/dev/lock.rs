//! One `dev` per data directory, and what `--reset` throws away.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Everything that `dev` puts into its data directory, apart from the lock.
const CONTENT: [&str; 10] = [
    "postgres",
    "postgres.password",
    "postgres.log",
    "github.json",
    "kubernetes.json",
    "kubeconfig",
    "logs",
    "dev.json",
    "postgres.initialising",
    super::demo::TOLD,
];

/// Held as long as this process runs; the system lets go of it when the process ends, however it ends.
pub(super) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Creates the directory where it is missing, and takes it.
pub(super) fn take(data_dir: &Path) -> Result<Lock> {
    if !data_dir.exists() {
        std::fs::create_dir_all(data_dir).with_context(|| {
            format!(
                "can't create {}: choose another folder with --data-dir",
                data_dir.display()
            )
        })?;
        // Others may pass through (PostgreSQL of a root user runs as `nobody`), not look.
        std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o711))?;
    }
    let path = data_dir.join("dev.lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| {
            format!(
                "can't write {}: choose another folder with --data-dir",
                path.display()
            )
        })?;
    if file.try_lock().is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        bail!(
            "another `codex-k8s dev` (process {}) uses {}: stop it, or start this one with another --data-dir \
             and --port",
            pid.trim(),
            data_dir.display()
        );
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock(file))
}

/// Removes what earlier starts left, and nothing else.
pub(super) fn reset(data_dir: &Path) -> Result<()> {
    for name in CONTENT {
        let path = data_dir.join(name);
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let held = take(&data_dir).unwrap();
        let error = take(&data_dir).err().unwrap().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(held);
        take(&data_dir).unwrap();
    }

    #[test]
    fn reset_leaves_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("postgres")).unwrap();
        std::fs::write(folder.path().join("dev.json"), "{}").unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        reset(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["thesis.txt"]);
    }
}
