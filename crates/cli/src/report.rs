//! `antiphon report save`: what somebody who helps needs to see of a cluster, in one file.
//! Promise: made over the API alone, so that it works from any machine; what cannot be had is listed in it
//! with the reason; a file that exists is never written over.
//! Not here: a node's own part, which holds no text of a conversation and no secret (`node`).

mod bundle;

use std::path::{Path, PathBuf};

use client::api;
use futures::future::join_all;
use serde_json::{Value, json};

use self::bundle::{Bundle, sum_of};
use crate::args::{Output, ReportArgs, ReportCommand};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::terminal::staff;

/// What is said of its contents in the bundle itself.
const HOLDS: &str = "names of agents, queues, accounts, nodes and sites; addresses; configuration without \
                     secrets; log lines without texts of conversations";

pub async fn run(args: ReportArgs) -> Result<Exit, Failure> {
    let ReportCommand::Save { file, reach } = args.command;
    let reach = Reach::of(&reach)?;
    let gathered = Gathered::of(&reach).await?;
    let file = file.unwrap_or_else(|| gathered.usual_name());
    let written = bundle::write(&file, &gathered.bundle()?)?;
    match reach.output {
        Output::Json => outln!("{:#}", gathered.told(&file)),
        Output::Table => outln!("{}", file.display()),
    }
    eprintln!("{written} files, of {} nodes", gathered.parts.len());
    for missing in &gathered.missing {
        eprintln!("missing: {} ({})", missing.what, missing.why);
    }
    eprintln!("it names agents and queues; no text of a conversation and no secret is in it");
    eprintln!("try: tar -tzf {}", file.display());
    Ok(match gathered.missing.is_empty() {
        true => Exit::Ok,
        false => Exit::Degraded,
    })
}

/// Something that could not be had.
struct Missing {
    what: String,
    why: String,
}

impl Missing {
    fn of(what: &str, error: &client::CallError) -> Self {
        Self {
            what: what.to_owned(),
            why: format!("{}: {}", error.reason_name(), error.message),
        }
    }
}

/// What a node says is not in its part.
fn gaps(part: &api::GetNodeReportResponse) -> impl Iterator<Item = Missing> + '_ {
    part.missing.iter().map(|gap| Missing {
        what: format!("{} of node {}", gap.what, part.node),
        why: gap.why.clone(),
    })
}

/// All that the cluster told.
struct Gathered {
    status: api::GetStatusResponse,
    plan: Option<api::GetFloorPlanResponse>,
    history: Option<api::ListFloorPlansResponse>,
    parts: Vec<api::GetNodeReportResponse>,
    missing: Vec<Missing>,
}

impl Gathered {
    /// Asks for everything; without a status there is nothing to report.
    async fn of(reach: &Reach) -> Result<Self, Failure> {
        let operator = reach.client.operator();
        let status = operator.get_status(api::GetStatusRequest {}).await?;
        let asked = status.nodes.iter().map(|node| {
            let request = api::GetNodeReportRequest {
                node: node.node.clone(),
            };
            operator.get_node_report(request)
        });
        let (plan, history, answers) = tokio::join!(
            operator.get_floor_plan(api::GetFloorPlanRequest { version: 0 }),
            operator.list_floor_plans(api::ListFloorPlansRequest {}),
            join_all(asked),
        );
        let mut missing = Vec::new();
        let plan = plan.map_err(|error| missing.push(Missing::of("floor.toml", &error)));
        let plan = plan.ok();
        let history =
            history.map_err(|error| missing.push(Missing::of("floor-history.json", &error)));
        let history = history.ok();
        let mut parts = Vec::new();
        for (node, answer) in status.nodes.iter().zip(answers) {
            match answer {
                Ok(part) => {
                    missing.extend(gaps(&part));
                    parts.push(part);
                }
                Err(error) => {
                    missing.push(Missing::of(&format!("node {}", node.node), &error));
                }
            }
        }
        Ok(Self {
            status,
            plan,
            history,
            parts,
            missing,
        })
    }

    /// The cluster's name is free text: what would not do for a file's name is left out.
    fn usual_name(&self) -> PathBuf {
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_".contains(*letter);
        let cluster: String = self
            .status
            .cluster
            .chars()
            .filter(is_plain)
            .take(64)
            .collect();
        let seconds = self.status.wall_ms / 1_000;
        PathBuf::from(format!("antiphon-report-{cluster}-{seconds}.tar.gz"))
    }

    fn bundle(&self) -> Result<Bundle, Failure> {
        let mut bundle = Bundle::default();
        bundle.add_json("meta.json", &self.meta());
        bundle.add_json("status.json", &json::of("GetStatusResponse", &self.status)?);
        if let Some(plan) = &self.plan {
            bundle.add("floor.toml", plan.toml.clone().into_bytes());
        }
        if let Some(history) = &self.history {
            let history = json::of("ListFloorPlansResponse", history)?;
            bundle.add_json("floor-history.json", &history);
        }
        for part in &self.parts {
            for file in &part.files {
                bundle.add_of_node(&part.node, &file.name, file.content.to_vec());
            }
        }
        Ok(bundle)
    }

    fn meta(&self) -> Value {
        let nodes: Vec<&str> = self.parts.iter().map(|part| part.node.as_str()).collect();
        json!({
            "format": 1,
            "program": env!("CARGO_PKG_VERSION"),
            "api": "antiphon.api.v1",
            "cluster": self.status.cluster,
            "clusterId": self.status.cluster_id,
            "answeredBy": self.status.answered_by,
            "wallMs": self.status.wall_ms,
            "madeBy": staff(),
            "planVersion": self.plan.as_ref().map(|plan| plan.version),
            "nodes": nodes,
            "missing": self.missing(),
            "holds": HOLDS,
        })
    }

    fn missing(&self) -> Vec<Value> {
        let told = |missing: &Missing| json!({"what": missing.what, "why": missing.why});
        self.missing.iter().map(told).collect()
    }

    fn told(&self, file: &Path) -> Value {
        let nodes: Vec<&str> = self.parts.iter().map(|part| part.node.as_str()).collect();
        json!({
            "file": file.display().to_string(),
            "sha256": sum_of(file).ok(),
            "nodes": nodes,
            "missing": self.missing(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered() -> Gathered {
        let file = api::ReportFile {
            name: "log.txt".to_owned(),
            content: "a line\n".into(),
        };
        Gathered {
            status: api::GetStatusResponse {
                cluster: "acme / support".to_owned(),
                wall_ms: 1_795_800_000_123,
                ..Default::default()
            },
            plan: None,
            history: None,
            parts: vec![api::GetNodeReportResponse {
                node: "fra-n1".to_owned(),
                files: vec![file],
                missing: Vec::new(),
            }],
            missing: vec![Missing {
                what: "node iad-n1".to_owned(),
                why: "NODE_UNREACHABLE: node iad-n1 did not answer".to_owned(),
            }],
        }
    }

    #[test]
    fn the_usual_name_has_nothing_that_a_file_must_not_have() {
        let name = gathered().usual_name();
        assert_eq!(
            name,
            Path::new("antiphon-report-acmesupport-1795800000.tar.gz")
        );
    }

    #[test]
    fn what_a_node_leaves_out_of_its_part_is_named_with_the_node() {
        let gap = api::ReportGap {
            what: "metrics.txt".to_owned(),
            why: "the port did not answer".to_owned(),
        };
        let part = api::GetNodeReportResponse {
            node: "fra-n1".to_owned(),
            missing: vec![gap],
            ..Default::default()
        };
        let told: Vec<_> = gaps(&part).map(|gap| (gap.what, gap.why)).collect();
        let expected = ("metrics.txt of node fra-n1", "the port did not answer");
        assert_eq!(told, [(expected.0.to_owned(), expected.1.to_owned())]);
    }

    #[test]
    fn what_could_not_be_had_is_listed_with_the_reason() {
        let bundle = gathered().bundle().unwrap();
        assert_eq!(
            bundle.names(),
            ["meta.json", "status.json", "nodes/fra-n1/log.txt"]
        );
        let meta = gathered().meta();
        assert_eq!(meta["nodes"][0], "fra-n1");
        assert_eq!(meta["missing"][0]["what"], "node iad-n1");
        assert!(
            meta["missing"][0]["why"]
                .as_str()
                .unwrap()
                .starts_with("NODE_UNREACHABLE")
        );
    }
}
