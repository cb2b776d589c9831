//! Check: compares the graph with the rules.
//! Promise: one finding for each crate, rule and package.
//! Not here: the rules themselves (`layers`), reading the graph (`graph`).

use super::graph::{Graph, Kind, Package};
use super::{NAMED_BY, ONLY, ORDER, PURE, Sections, WALLS};
use crate::finding::Finding;

/// Every edge that breaks a rule.
pub fn check(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in graph.ours() {
        order(graph, package, &mut findings);
        only(graph, package, &mut findings);
        walls(graph, package, &mut findings);
        named_by(graph, package, &mut findings);
        pure(graph, package, &mut findings);
    }
    findings.sort();
    findings.dedup();
    findings
}

fn add(findings: &mut Vec<Finding>, package: &Package, rule: &'static str, text: String) {
    let manifest = package.manifest.as_deref().unwrap_or(&package.name);
    findings.push(Finding::whole(manifest, rule, text));
}

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|listed| *listed == name)
}

fn order(graph: &Graph, package: &Package, findings: &mut Vec<Finding>) {
    let Some(own_place) = place(&package.name) else {
        let text = format!(
            "`{}` has no place in the order: add it to ORDER in crates/xtask/src/layers.rs",
            package.name
        );
        add(findings, package, "layer-unlisted", text);
        return;
    };
    for (to, _) in graph
        .direct(package)
        .filter(|(to, _)| to.manifest.is_some())
    {
        if place(&to.name).is_some_and(|its_place| its_place >= own_place) {
            let text = format!(
                "`{}` imports `{}`, which is not above it: move the shared part up, or turn the import round",
                package.name, to.name
            );
            add(findings, package, "layer-order", text);
        }
    }
}

fn only(graph: &Graph, package: &Package, findings: &mut Vec<Finding>) {
    for rule in ONLY.iter().filter(|rule| rule.name == package.name) {
        let product = graph
            .direct(package)
            .filter(|(to, kind)| to.manifest.is_some() && *kind != Kind::Dev);
        for (to, _) in product.filter(|(to, _)| !rule.imports.contains(&to.name.as_str())) {
            let text = format!(
                "`{}` imports `{}`, but of ours may import {:?} alone: {}",
                rule.name, to.name, rule.imports, rule.reason
            );
            add(findings, package, "layer-only", text);
        }
    }
}

fn walls(graph: &Graph, package: &Package, findings: &mut Vec<Finding>) {
    for wall in WALLS
        .iter()
        .filter(|wall| wall.names.contains(&package.name.as_str()))
    {
        for (to, path) in graph.closure(package) {
            if wall.refused.iter().any(|pattern| fits(pattern, &to.name)) {
                let text = format!(
                    "must not reach `{}` ({}): {}",
                    to.name,
                    path.join(" -> "),
                    wall.reason
                );
                add(findings, package, "layer-wall", text);
            }
        }
    }
}

fn named_by(graph: &Graph, package: &Package, findings: &mut Vec<Finding>) {
    for rule in NAMED_BY
        .iter()
        .filter(|rule| !rule.by.contains(&package.name.as_str()))
    {
        let in_section = |kind: Kind| rule.sections == Sections::All || kind != Kind::Dev;
        let outside = graph
            .direct(package)
            .filter(|(to, kind)| to.manifest.is_none() && in_section(*kind));
        for (to, _) in outside.filter(|(to, _)| fits(rule.package, &to.name)) {
            let text = format!(
                "names `{}`, which only {:?} may: {}",
                to.name, rule.by, rule.reason
            );
            add(findings, package, "layer-named", text);
        }
    }
}

fn pure(graph: &Graph, package: &Package, findings: &mut Vec<Finding>) {
    for rule in PURE.iter().filter(|rule| rule.name == package.name) {
        for (to, path) in graph.closure(package) {
            if !rule.allowed.contains(&to.name.as_str()) {
                let text = format!(
                    "`{}` ({}) is not on the list of pure packages: do without, or show that it has no clock, \
                     randomness, runtime or IO and add it to PURE in crates/xtask/src/layers.rs",
                    to.name,
                    path.join(" -> ")
                );
                add(findings, package, "layer-pure", text);
            }
        }
    }
}

/// `tonic*` fits `tonic` and `tonic-web`; `sled` fits itself.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => {
            name == start
                || name
                    .strip_prefix(start)
                    .is_some_and(|rest| rest.starts_with(['-', '_']))
        }
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings as (crate, rule) and the text to look into.
    fn found(lines: &str) -> Vec<(String, &'static str)> {
        let name = |file: &str| {
            file.trim_start_matches("crates/")
                .trim_end_matches("/Cargo.toml")
                .to_owned()
        };
        check(&Graph::of(lines))
            .into_iter()
            .map(|finding| (name(&finding.file), finding.rule))
            .collect()
    }

    fn one(name: &str, rule: &'static str) -> Vec<(String, &'static str)> {
        vec![(name.to_owned(), rule)]
    }

    const SOUND: &str = "
        pb: prost
        domain: thiserror, dev proptest
        wire: pb, domain, toml
        rpc: pb, tonic, build tonic-prost-build
        client: pb, rpc, tonic, dev cli
        runtime: tokio, rand
        ports: runtime, domain
        store: runtime, sled
        raft: ports, store, openraft, tonic
        conversation: ports, runtime
        api: ports, rpc, tonic
        node: raft, store, api, conversation
        cli: client, node
        xtask: syn
    ";

    #[test]
    fn a_sound_workspace_has_no_finding() {
        let sound = SOUND.replace(", dev cli", "");
        assert_eq!(found(&sound), []);
    }

    #[test]
    fn an_import_from_below_is_found_in_tests_too() {
        assert_eq!(found("ports: raft\nraft:\n"), one("ports", "layer-order"));
        assert_eq!(
            found("ports: dev raft\nraft:\n"),
            one("ports", "layer-order")
        );
        assert_eq!(
            found("ports: build raft\nraft:\n"),
            one("ports", "layer-order")
        );
        assert_eq!(found(SOUND), one("client", "layer-order"));
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(found("extras: tokio\n"), one("extras", "layer-unlisted"));
    }

    #[test]
    fn the_sdk_imports_messages_and_services_alone() {
        assert_eq!(found("wire:\nclient: wire\n"), one("client", "layer-only"));
        assert_eq!(found("wire:\nclient: dev wire\n"), []);
        assert_eq!(
            found("pb:\ndomain: pb\n"),
            [
                ("domain".into(), "layer-only"),
                ("domain".into(), "layer-pure")
            ]
        );
    }

    #[test]
    fn messages_reach_no_network_stack_however_indirectly() {
        assert_eq!(
            found("pb: helpful\noutside helpful: tonic\n"),
            one("pb", "layer-wall")
        );
        assert_eq!(
            found("pb: prost\noutside prost: tokio-util\n"),
            one("pb", "layer-wall")
        );
        assert_eq!(
            found("pb: m\noutside m!: tokio\n"),
            [],
            "a macro's dependencies are not linked"
        );
    }

    #[test]
    fn what_serves_conversations_never_reaches_raft_or_store() {
        for name in ["conversation", "router", "channels", "api"] {
            for refused in ["raft", "store"] {
                let lines = format!("ports: {refused}\n{refused}:\n{name}: ports\n");
                let walls = found(&lines)
                    .into_iter()
                    .filter(|(_, rule)| *rule == "layer-wall")
                    .collect::<Vec<_>>();
                assert_eq!(
                    walls,
                    one(name, "layer-wall"),
                    "{name} to {refused} through ports"
                );
            }
        }
    }

    #[test]
    fn a_package_behind_a_door_is_named_by_its_crate_alone() {
        assert_eq!(found("node: openraft\n"), one("node", "layer-named"));
        assert_eq!(
            found("node: openraft-memstore\n"),
            one("node", "layer-named")
        );
        assert_eq!(found("raft: dev sled\n"), one("raft", "layer-named"));
        assert_eq!(
            found("conversation: tonic-types\n"),
            one("conversation", "layer-named")
        );
        assert_eq!(found("node: rand\n"), one("node", "layer-named"));
        assert_eq!(found("node: turmoil\n"), one("node", "layer-named"));
        assert_eq!(found("node: anyhow\n"), one("node", "layer-named"));
        assert_eq!(found("node: dev anyhow\n"), [], "tests may");
    }

    #[test]
    fn each_impure_package_is_refused_in_the_pure_crates() {
        let impure = [
            "tokio",
            "mio",
            "async-std",
            "futures-core",
            "rand",
            "rand_core",
            "getrandom",
            "socket2",
            "chrono",
            "time",
            "fastrand",
            "hyper",
            "winapi",
        ];
        for package in impure {
            let direct = found(&format!("domain: {package}\n"));
            assert!(
                direct.contains(&("domain".into(), "layer-pure")),
                "{package}: {direct:?}"
            );
            let through = found(&format!("wire: toml\noutside toml: {package}\n"));
            assert_eq!(through, one("wire", "layer-pure"), "{package} through toml");
            assert_eq!(
                found(&format!(
                    "domain: dev proptest\noutside proptest: {package}\n"
                )),
                [],
                "{package} in tests"
            );
        }
    }

    #[test]
    fn a_finding_names_the_path_and_what_to_do() {
        let findings = check(&Graph::of("wire: toml\noutside toml: tokio\n"));
        let text = findings[0].to_string();
        assert!(
            text.starts_with("crates/wire/Cargo.toml: layer-pure: "),
            "{text}"
        );
        assert!(text.contains("wire -> toml -> tokio"), "{text}");
        assert!(text.contains("do without"), "{text}");
    }
}
