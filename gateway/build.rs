//! Makes the built console part of the binary: writes a table of the files below `web-console/dist/app`, which is empty
//! where nobody built the console. Node is not needed here.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let dist = manifest.join("../web-console/dist");
    // The folder itself is always there (it holds a .gitignore): cargo would build anew each time what it can't find.
    println!("cargo::rerun-if-changed={}", dist.display());
    let root = dist.join("app");
    let mut files = Vec::new();
    if root.join("index.html").is_file() {
        collect(&root, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| !is_compressed(file)) {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        let bytes = |file: &Path| format!("include_bytes!({:?})", file.display().to_string());
        let beside = |ending: &str| {
            let file = PathBuf::from(format!("{}.{ending}", file.display()));
            if file.is_file() {
                format!("Some({})", bytes(&file))
            } else {
                "None".to_owned()
            }
        };
        writeln!(
            table,
            "File {{ path: \"/{}\", plain: {}, gzip: {}, brotli: {} }},",
            name.display(),
            bytes(file),
            beside("gz"),
            beside("br")
        )
        .map_err(io::Error::other)?;
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("console.rs"), table)
}

fn is_compressed(file: &Path) -> bool {
    file.extension()
        .is_some_and(|ending| ending == "br" || ending == "gz")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
