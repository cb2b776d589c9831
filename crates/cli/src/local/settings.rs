//! Settings of a node: flags over environment over file over defaults, and the file that `init` writes.
//! Promise: a file that exists is never written over; every fault of every layer is printed.
//! Not here: the keys (`node::config`).

use std::path::{Path, PathBuf};

use node::config::{ConfigFault, Layered, Origin, Settings, Sources};

use crate::args::NodeArgs;
use crate::failure::{Exit, Failure};

/// The file that is read where none is named.
const FILE_DEFAULT: &str = "antiphon.toml";

/// The file of these arguments, whether it exists or not.
pub fn file_to_write(args: &NodeArgs) -> PathBuf {
    args.config
        .clone()
        .unwrap_or_else(|| PathBuf::from(FILE_DEFAULT))
}

/// The layers of a process, to be read again while it runs. Its flags stay what they were.
pub struct Layers {
    /// The flags, and which file.
    args: NodeArgs,
    /// Keys that the command itself set.
    more: Vec<(String, String)>,
    /// The process began with a file. One that has gone, for instance while it is written anew, is a fault
    /// then, and not a configuration of defaults.
    had_file: bool,
}

impl Layers {
    /// Those of a process that begins now.
    pub fn new(args: NodeArgs, more: Vec<(String, String)>) -> Self {
        Self {
            had_file: file_to_write(&args).exists(),
            args,
            more,
        }
    }

    fn fault(&self, message: impl Into<String>) -> Vec<ConfigFault> {
        vec![ConfigFault {
            place: file_to_write(&self.args).display().to_string(),
            message: message.into(),
            suggestion: None,
        }]
    }
}

impl Settings for Layers {
    fn read(&self) -> Result<Layered, Vec<ConfigFault>> {
        let sources = sources(&self.args, &self.more);
        let sources = sources.map_err(|failure| self.fault(failure.sentence))?;
        if self.had_file && sources.file.is_none() {
            return Err(self.fault("it was there when the node started and has gone"));
        }
        Layered::load(&sources)
    }
}

fn sources(args: &NodeArgs, more: &[(String, String)]) -> Result<Sources, Failure> {
    Ok(Sources {
        file: file(args)?,
        env: environment(),
        flags: flags(args, more)?,
    })
}

/// The configuration in force. `more` are keys that the command itself sets.
pub fn load(args: &NodeArgs, more: &[(String, String)]) -> Result<Layered, Failure> {
    Layered::load(&sources(args, more)?).map_err(|faults| {
        faults.iter().for_each(|fault| eprintln!("{fault}"));
        invalid(match faults.len() {
            1 => "the configuration has a fault",
            _ => "the configuration has faults",
        })
    })
}

/// A configuration that cannot work.
pub fn invalid(sentence: &str) -> Failure {
    let failure = Failure::plain(sentence).with_reason("CONFIG_INVALID");
    failure
        .with_next("antiphon config default")
        .with_exit(Exit::Error)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("ANTIPHON_"))
        .collect()
}

/// A named file may be missing only for the commands that write it, which name sites by flags.
fn file(args: &NodeArgs) -> Result<Option<(String, String)>, Failure> {
    let path = file_to_write(args);
    let shown = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match &args.config {
            Some(_) if args.site.is_none() => {
                let failure = Failure::plain(format!("{shown} does not exist"));
                Err(failure
                    .with_reason("FILE_UNREADABLE")
                    .with_next(format!("antiphon config default > {shown}")))
            }
            _ => Ok(None),
        },
        Err(error) => Err(Failure::unreadable(&path, &error)),
    }
}

fn flags(args: &NodeArgs, more: &[(String, String)]) -> Result<Vec<(String, String)>, Failure> {
    let named = [
        ("cluster.name", &args.name),
        ("site.name", &args.site),
        ("site.region", &args.region),
        ("node.name", &args.node),
        ("node.data_dir", &args.data),
        ("listen.api", &args.api),
        ("listen.peer", &args.peer),
    ];
    let mut flags: Vec<(String, String)> = named
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key.to_owned(), value)))
        .collect();
    // Written into a file, a relative folder would mean another one wherever the file is used.
    for (key, value) in &mut flags {
        if key == "node.data_dir" {
            *value = std::path::absolute(&*value)?.display().to_string();
        }
    }
    for set in &args.set {
        let Some((key, value)) = set.split_once('=') else {
            let failure = Failure::usage(format!(
                "`--set {set}` is not of the form SECTION.KEY=VALUE"
            ));
            return Err(failure.with_next("antiphon config default"));
        };
        flags.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    flags.extend_from_slice(more);
    Ok(flags)
}

/// Writes what is not a default to a file that does not exist yet.
pub fn write(path: &Path, layered: &Layered) -> Result<(), Failure> {
    use std::io::Write as _;
    let opened = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            remind_of_flags(path, layered);
            return Ok(());
        }
        Err(error) => {
            return Err(Failure::unwritable(path, &error));
        }
    };
    file.write_all(text(layered).as_bytes())?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// A flag that the file does not repeat is forgotten at the next start.
fn remind_of_flags(path: &Path, layered: &Layered) {
    let values = layered.values();
    let flags = values
        .iter()
        .filter(|(_, _, origin)| *origin == Origin::Flag);
    for (key, value, _) in flags {
        eprintln!(
            "note: {key} = {value} came by flag; {} exists and was left as it is",
            path.display()
        );
    }
}

fn text(layered: &Layered) -> String {
    let mut text = String::from("# Every key with its default: antiphon config default\n");
    let mut section = String::new();
    for (key, value, origin) in layered.values() {
        let Some((of, name)) = key.split_once('.') else {
            continue;
        };
        if origin == Origin::Default {
            continue;
        }
        if section != of {
            section = of.to_owned();
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(site: &str, set: &[&str]) -> NodeArgs {
        NodeArgs {
            config: Some(PathBuf::from("/nonexistent/antiphon.toml")),
            site: Some(site.to_owned()),
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            ..NodeArgs::default()
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_configuration() {
        let members = [("cluster.join".to_owned(), "a:1,b:2".to_owned())];
        let layered = load(&args("fra", &["limits.connections = 7"]), &members).unwrap();
        let sources = Sources {
            file: Some(("antiphon.toml".to_owned(), text(&layered))),
            ..Sources::default()
        };
        let again = Layered::load(&sources).unwrap();
        assert_eq!(again.config, layered.config);
        assert_eq!(again.config.cluster.join, ["a:1", "b:2"]);
    }

    #[test]
    fn a_file_that_has_gone_is_a_fault_and_not_a_configuration_of_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("antiphon.toml");
        let args = NodeArgs {
            config: Some(path.clone()),
            ..args("fra", &[])
        };
        let without = Layers::new(args.clone(), Vec::new());
        assert!(without.read().is_ok(), "it never had one");
        std::fs::write(&path, "[limits]\nconnections = 10\n").unwrap();
        let layers = Layers::new(args, Vec::new());
        assert_eq!(layers.read().unwrap().config.limits.connections, 10);
        std::fs::remove_file(&path).unwrap();
        let faults = layers.read().unwrap_err();
        assert_eq!(faults[0].place, path.display().to_string());
        assert!(faults[0].message.contains("has gone"), "{faults:?}");
    }

    #[test]
    fn a_flag_without_a_value_is_a_usage_error() {
        let failure = load(&args("fra", &["limits.connections"]), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_file_that_exists_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("antiphon.toml");
        std::fs::write(&path, "# mine\n").unwrap();
        let layered = load(&args("fra", &[]), &[]).unwrap();
        write(&path, &layered).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    }
}
