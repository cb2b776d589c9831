//! Graph: packages and who depends on whom, from `cargo metadata`.
//! Promise: covers every platform and the features of the whole workspace, so nothing hides behind a target.
//! Not here: what is allowed (`layers`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Section of the manifest that an edge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[dependencies]`: linked into the product.
    Normal,
    /// `[build-dependencies]`: runs in the compiler's machine.
    Build,
    /// `[dev-dependencies]`: tests, examples and benchmarks.
    Dev,
}

/// One dependency.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Key of the package depended on.
    pub to: String,
    /// From which section.
    pub kind: Kind,
}

/// One package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Name, without version.
    pub name: String,
    /// Path of the manifest from the root; only for our crates.
    pub manifest: Option<String>,
    /// Runs in the compiler, so that its own dependencies are not linked.
    pub proc_macro: bool,
    /// What it depends on.
    pub edges: Vec<Edge>,
}

/// All packages, by a key that is unique per version.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    packages: BTreeMap<String, Package>,
}

impl Graph {
    /// Asks cargo about the workspace under `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut cargo = Command::new(crate::gate::cargo());
        cargo
            .current_dir(root)
            .args(["metadata", "--format-version", "1", "--locked"]);
        let output = cargo.output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Self::parse(&serde_json::from_slice(&output.stdout)?)
            .context("cargo metadata has another format than expected")
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let root = format!("{}/", metadata["workspace_root"].as_str()?);
        let members: BTreeSet<&str> = metadata["workspace_members"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut packages = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            let key = package["id"].as_str()?;
            let manifest = package["manifest_path"].as_str()?;
            packages.insert(
                key.to_owned(),
                Package {
                    name: package["name"].as_str()?.to_owned(),
                    manifest: members
                        .contains(key)
                        .then(|| manifest.strip_prefix(&root).unwrap_or(manifest).to_owned()),
                    proc_macro: is_proc_macro(package),
                    edges: Vec::new(),
                },
            );
        }
        for node in metadata["resolve"]["nodes"].as_array()? {
            let edges = node["deps"].as_array()?.iter().flat_map(edges_of).collect();
            packages.get_mut(node["id"].as_str()?)?.edges = edges;
        }
        Some(Self { packages })
    }

    /// Our own crates.
    pub fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .values()
            .filter(|package| package.manifest.is_some())
    }

    /// The direct dependencies of a package, as (package, kind).
    pub fn direct<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'a Package, Kind)> {
        package
            .edges
            .iter()
            .filter_map(|edge| Some((self.packages.get(&edge.to)?, edge.kind)))
    }

    /// Every package linked with `package`, each with the path of names that leads to it.
    pub fn closure(&self, package: &Package) -> Vec<(&Package, Vec<String>)> {
        let mut seen = BTreeSet::new();
        let mut reached: Vec<(&Package, Vec<String>)> = Vec::new();
        let mut next = vec![(package, vec![package.name.clone()])];
        while let Some((from, path)) = next.pop() {
            for edge in from.edges.iter().filter(|edge| edge.kind == Kind::Normal) {
                let Some(to) = self
                    .packages
                    .get(&edge.to)
                    .filter(|_| seen.insert(&edge.to))
                else {
                    continue;
                };
                let path: Vec<String> = path.iter().cloned().chain([to.name.clone()]).collect();
                reached.push((to, path.clone()));
                if !to.proc_macro {
                    next.push((to, path));
                }
            }
        }
        reached
    }

    /// A made-up graph: one line per package, `name: dependency, build dependency, dev dependency`.
    /// Packages without a line are of others; `name!` is a procedural macro.
    #[cfg(test)]
    pub fn of(lines: &str) -> Self {
        let mut packages = BTreeMap::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, dependencies) = line.split_once(':').unwrap();
            let (name, outside) = name
                .strip_prefix("outside ")
                .map_or((name, false), |name| (name, true));
            let (name, proc_macro) = name
                .strip_suffix('!')
                .map_or((name, false), |name| (name, true));
            let edges: Vec<Edge> = dependencies
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(made_edge)
                .collect();
            for edge in &edges {
                packages
                    .entry(edge.to.clone())
                    .or_insert_with(|| made_package(&edge.to));
            }
            let manifest = (!outside).then(|| format!("crates/{name}/Cargo.toml"));
            packages.insert(
                name.to_owned(),
                Package {
                    manifest,
                    proc_macro,
                    edges,
                    ..made_package(name)
                },
            );
        }
        Self { packages }
    }
}

#[cfg(test)]
fn made_package(name: &str) -> Package {
    Package {
        name: name.to_owned(),
        manifest: None,
        proc_macro: false,
        edges: Vec::new(),
    }
}

#[cfg(test)]
fn made_edge(text: &str) -> Edge {
    match text.split_once(' ') {
        Some(("build", name)) => Edge {
            to: name.to_owned(),
            kind: Kind::Build,
        },
        Some(("dev", name)) => Edge {
            to: name.to_owned(),
            kind: Kind::Dev,
        },
        _ => Edge {
            to: text.to_owned(),
            kind: Kind::Normal,
        },
    }
}

fn is_proc_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .filter_map(|target| target["kind"].as_array())
        .flatten()
        .any(|kind| kind == "proc-macro")
}

/// One edge for each section that names the dependency.
fn edges_of(dependency: &Value) -> Vec<Edge> {
    let to = dependency["pkg"].as_str().unwrap_or_default();
    let kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
    let kind = |value: &Value| match value["kind"].as_str() {
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        _ => Kind::Normal,
    };
    let mut edges: Vec<Edge> = kinds
        .map(|value| Edge {
            to: to.to_owned(),
            kind: kind(value),
        })
        .collect();
    edges.dedup_by_key(|edge| edge.kind);
    edges
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_read_with_its_kinds_and_macros() {
        let package = |name: &str, kind: &str| {
            json!({
                "id": format!("id-{name}"), "name": name, "manifest_path": format!("/r/crates/{name}/Cargo.toml"), "targets": [{"kind": [kind]}],
            })
        };
        let kinds = |kind: Value| json!([{"kind": kind, "target": null}]);
        let metadata = json!({
            "workspace_root": "/r",
            "workspace_members": ["id-a"],
            "packages": [package("a", "lib"), package("m", "proc-macro"), package("t", "lib"), package("deep", "lib")],
            "resolve": {"nodes": [
                {"id": "id-a", "deps": [{"pkg": "id-m", "dep_kinds": kinds(Value::Null)}, {"pkg": "id-t", "dep_kinds": kinds(json!("dev"))}]},
                {"id": "id-m", "deps": [{"pkg": "id-deep", "dep_kinds": kinds(Value::Null)}]},
            ]},
        });

        let graph = Graph::parse(&metadata).unwrap();

        let ours: Vec<&Package> = graph.ours().collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(ours[0].manifest.as_deref(), Some("crates/a/Cargo.toml"));
        let direct: Vec<(&str, Kind)> = graph
            .direct(ours[0])
            .map(|(to, kind)| (to.name.as_str(), kind))
            .collect();
        assert_eq!(direct, [("m", Kind::Normal), ("t", Kind::Dev)]);
        let closure: Vec<Vec<String>> = graph
            .closure(ours[0])
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(
            closure,
            [["a", "m"]],
            "neither tests nor what a macro uses is linked"
        );
    }
}
