//! A real build whose parts come into being while the volume is cleaned, and
//! which fails if a single one of them is taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The crate's build script: writes module after module beside the build until
/// the file `go` is there, then what includes them all.
const SCRIPT: &str = r##"
use std::{env, fs, path::Path, thread, time::{Duration, Instant}};
fn main() {
    let (out, go) = (env::var("OUT_DIR").unwrap(), env::var("GO").unwrap());
    let (mut all, mut sum, begun, mut n) = (String::new(), String::new(), Instant::now(), 0);
    while n < 20 || !Path::new(&go).exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never told to go on");
        fs::write(format!("{out}/m{n}.rs"), format!("pub const VALUE: u64 = {n};\n")).unwrap();
        all += &format!("#[path = \"{out}/m{n}.rs\"] mod m{n};\n");
        sum += &format!(" + m{n}::VALUE");
        n += 1;
        thread::sleep(Duration::from_millis(50));
    }
    all += &format!("pub const MODULES: u64 = {n};\npub const SUM: u64 = 0{sum};\n");
    fs::write(format!("{out}/all.rs"), all).unwrap();
}
"##;

const MAIN: &str = r#"
include!(concat!(env!("OUT_DIR"), "/all.rs"));
fn main() {
    println!("{MODULES} modules, sum {SUM}");
}
"#;

/// A build below the directory of a job.
pub(crate) struct Build {
    dir: PathBuf,
    go: PathBuf,
    cargo: Option<Child>,
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(mut cargo) = self.cargo.take() {
            let _ = cargo.kill();
            let _ = cargo.wait();
        }
    }
}

impl Build {
    /// Starts to build in `dir`; the build goes on until [`Self::finish`].
    pub(crate) fn start(dir: PathBuf, go: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(dir.join("src")).unwrap();
        let manifest =
            "[package]\nname = \"figures\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
        for (name, text) in [("Cargo.toml", manifest), ("build.rs", SCRIPT), ("src/main.rs", MAIN)] {
            fs::write(dir.join(name), text).unwrap();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // What the build of these tests was told is not for this one.
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
            command.env_remove(name);
        }
        command.args(["build", "--offline", "--target-dir"]).arg(dir.join("target"));
        command.current_dir(&dir).env("GO", &go).env("CARGO_INCREMENTAL", "0");
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let cargo = command.spawn().map_err(|why| format!("cargo can't be run: {why}"))?;
        Ok(Self { dir, go, cargo: Some(cargo) })
    }

    /// The modules that are there so far.
    pub(crate) fn modules(&self) -> usize {
        walkdir::WalkDir::new(self.dir.join("target"))
            .into_iter()
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| {
                name.strip_prefix('m').is_some_and(|rest| rest.ends_with(".rs") && rest != "ain.rs")
            })
            .count()
    }

    /// Whether it still goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.cargo.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Lets the build end; what the program says that came of it.
    pub(crate) fn finish(mut self) -> String {
        fs::write(&self.go, "").unwrap();
        let output = self.cargo.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said_by(&self.dir.join("target/debug/figures"))
    }
}

fn said_by(program: &Path) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
