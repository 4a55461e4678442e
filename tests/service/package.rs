//! The Debian package of the program under test, built once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The version that is installed first.
pub(crate) const FIRST: &str = "0.1.0-1";
/// The one that replaces it.
pub(crate) const SECOND: &str = "0.1.0-2";

static BUILT: OnceLock<Result<(), String>> = OnceLock::new();

/// A directory with both packages as `first.deb` and `second.deb`, or why there can be none.
pub(crate) fn packages() -> Result<TempDir, String> {
    // Beside the program, where the next run of the tests builds them anew.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    BUILT.get_or_init(|| build(&kept)).clone()?;
    let shared = tempfile::tempdir().unwrap();
    for name in ["first.deb", "second.deb"] {
        std::fs::copy(kept.join(name), shared.path().join(name)).unwrap();
    }
    Ok(shared)
}

fn build(kept: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can boot a machine".to_owned());
    }
    let needed = ["cargo-deb", "dpkg", "strip", "unshare", "nsenter", "setpriv"];
    if let Some(program) = needed.iter().find(|program| find(program).is_none()) {
        return Err(format!("there is no {program} here"));
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Err("there is no systemd here".to_owned());
    }
    std::fs::create_dir_all(kept).unwrap();
    for (version, name) in [(FIRST, "first.deb"), (SECOND, "second.deb")] {
        let built = one(version, kept);
        std::fs::rename(built, kept.join(name)).unwrap();
    }
    Ok(())
}

fn one(version: &str, into: &Path) -> PathBuf {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/packaging/build-deb"))
        .args(["--binary", env!("CARGO_BIN_EXE_guardian"), "--version", version, "--fast"])
        .arg(into)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(said.trim())
}

/// Where a program lies, also among those that cargo installed.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|at| at.is_file())
}
