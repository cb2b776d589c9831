//! The manual of series, made of the table from which the page is written.
//! Promise: the same table gives the same text; a test compares it with the file that operators read.
//! Not here: what to do about a number (`deploy/alerts.yml` and its runbook).

use super::table;

/// Where the text is kept, from the root of the repository; the first lines say how it is made anew.
const HEAD: &str = "\
# Metrics

What each node shows on `http://<listen.admin>/metrics`, in Prometheus' text format. Made from the declared tables by
`cargo run -p node --example metrics_manual > deploy/metrics.md`; a test fails when this file is stale.

Times are in seconds, sizes in bytes, shares in ratios. No label names a conversation, a customer or a person. The
floor's series (`antiphon_conversations_*`, `antiphon_queue_*`, `antiphon_sla_*`, `antiphon_agents`, ...) are folds of
the replicated state, which every replica has: only the leader of a cell shows them, so that a sum over all nodes
counts everything once. After a change of leader another node shows them and goes on from the same numbers; ask for
`sum without (instance) (...)`, and for rates per instance before the sum.

";

/// The manual as Markdown.
#[must_use]
pub fn manual() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| Series | Kind | Labels | Meaning |\n| --- | --- | --- | --- |\n");
    for series in table() {
        let labels: Vec<String> = series
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            series.name,
            series.kind,
            labels.join(", "),
            series.help
        ));
    }
    text
}
