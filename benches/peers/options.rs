//! What the bench was asked to do.

use std::path::PathBuf;

/// Parsed arguments.
#[derive(Debug)]
pub(crate) struct Options {
    /// Files in each tree.
    pub(crate) files: usize,
    /// Bytes in each file.
    pub(crate) size: usize,
    /// Rounds; each tool runs once in each.
    pub(crate) runs: usize,
    pub(crate) index: bool,
    pub(crate) remove: bool,
    /// Where the trees are built; empty: the usual places.
    pub(crate) dirs: Vec<PathBuf>,
    /// Also say where the time goes.
    pub(crate) profile: bool,
}

const USAGE: &str = "usage: cargo bench --bench peers -- [OPTION]...
  --files N            files in each tree, in N/100 directories [200000]
  --size BYTES         bytes in each file [1024]
  --runs N             rounds; the table shows medians [3]
  --only LIST          index, remove, or both with a comma [index,remove]
  --dir DIR            build the trees here; may be repeated [/var/tmp; for root /dev/shm too]
  --profile            also say where guardian's time goes";

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            files: 200_000,
            size: 1024,
            runs: 3,
            index: true,
            remove: true,
            dirs: Vec::new(),
            profile: false,
        };
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value\n{USAGE}"));
            match flag.as_str() {
                "--files" => options.files = number(&flag, &value()?)?.max(100),
                "--size" => options.size = number(&flag, &value()?)?,
                "--runs" => options.runs = number(&flag, &value()?)?.max(1),
                "--only" => {
                    let list = value()?;
                    (options.index, options.remove) = (false, false);
                    for word in list.split(',') {
                        match word {
                            "index" => options.index = true,
                            "remove" => options.remove = true,
                            _ => return Err(format!("--only {word}: expected index or remove\n{USAGE}")),
                        }
                    }
                }
                "--dir" => options.dirs.push(PathBuf::from(value()?)),
                "--profile" => options.profile = true,
                // What `cargo bench` adds by itself.
                "--bench" => {}
                _ => return Err(format!("{flag}: unknown\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn number(flag: &str, text: &str) -> Result<usize, String> {
    text.replace('_', "").parse().map_err(|_| format!("{flag} {text}: expected a number\n{USAGE}"))
}
