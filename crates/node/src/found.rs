//! Founding a cluster, and what a node writes beside its identity.
//! Promise: a cluster is founded once; the founder brings the first floor plan in, also when it is
//! restarted in between.
//! Not here: joining (`join`), the control group's side (`control::reconcile`).

use std::path::Path;

use domain::control::command::{FIRST_NODE, Profile};
use runtime::Env;
use serde::{Deserialize, Serialize};
use store::{DataDir, Identity};

use crate::config::Config;
use crate::control;
use crate::error::NodeError;
use crate::files;

/// What the founder keeps until the control group knows it.
const FOUNDING_FILE: &str = "founding.toml";

/// How a cluster is founded.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// The timing profile of the whole cluster; `None` is `lan`.
    pub profile: Option<Profile>,
    /// The first floor plan as TOML; `None` is the sample plan.
    pub floor: Option<String>,
}

/// What the founder will propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Founding {
    pub(crate) cluster_name: String,
    pub(crate) floor: String,
}

impl Founding {
    /// What is still to be proposed, if this node founded the cluster. A node that joined one has
    /// nothing to found, whatever an interrupted `init` left in its directory.
    pub(crate) async fn load(
        env: &Env,
        dir: &Path,
        node_id: u64,
    ) -> Result<Option<Self>, NodeError> {
        if node_id != FIRST_NODE.0 {
            return Ok(None);
        }
        let Some(content) = files::read(env, &dir.join(FOUNDING_FILE)).await? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&content);
        let founding = toml::from_str(&text).map_err(std::io::Error::other)?;
        Ok(Some(founding))
    }

    /// Forgets it: the control group has it all.
    pub(crate) async fn done(env: &Env, dir: &Path) -> std::io::Result<()> {
        files::remove(env, dir, FOUNDING_FILE).await
    }
}

/// Founds a cluster in an empty data directory; `run` then starts its first node.
///
/// # Errors
/// See [`NodeError`]; nothing was changed when the floor plan or the configuration has faults.
pub async fn init(config: &Config, env: &Env, options: InitOptions) -> Result<Identity, NodeError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(NodeError::Config(problems));
    }
    let floor = options
        .floor
        .unwrap_or_else(|| control::sample_floor().to_owned());
    control::owner::check_floor(&floor)?;
    let dir = config.node.data_dir.clone();
    let mut data = DataDir::open(env, Path::new(&dir)).await?;
    if let Some(identity) = data.identity() {
        let (node, cluster) = (identity.node_name.clone(), identity.cluster_id.clone());
        return Err(NodeError::AlreadyInitialised { dir, node, cluster });
    }
    let founding = Founding {
        cluster_name: config.cluster.name.clone(),
        floor,
    };
    let text = toml::to_string(&founding).map_err(std::io::Error::other)?;
    files::write(env, data.path(), FOUNDING_FILE, text.into()).await?;
    let configured = Profile::from_word(&config.cluster.profile);
    let identity = Identity {
        cluster_id: env.random.uuid(),
        node_id: FIRST_NODE.0,
        node_name: config.node_name(),
        site: config.site.name.clone(),
        region: config.site.region.clone(),
        profile: options
            .profile
            .or(configured)
            .unwrap_or(Profile::Lan)
            .to_string(),
    };
    data.claim(identity.clone()).await?;
    Ok(identity)
}

/// Configuration and identity must name the same node.
pub(crate) fn check_identity(config: &Config, identity: &Identity) -> Result<(), NodeError> {
    let each = [
        ("site.name", &config.site.name, &identity.site),
        ("node.name", &config.node.name, &identity.node_name),
        (
            "cluster.profile",
            &config.cluster.profile,
            &identity.profile,
        ),
    ];
    for (key, configured, kept) in each {
        // Empty means that the configuration does not say.
        if !configured.is_empty() && configured != kept {
            let dir = config.node.data_dir.clone();
            return Err(NodeError::IdentityDiffers {
                key,
                configured: configured.clone(),
                kept: kept.clone(),
                dir,
            });
        }
    }
    Ok(())
}
