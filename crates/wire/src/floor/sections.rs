//! The sections of `floor.toml` but for queues.
//! Promise: absent keys take the domain's defaults; a fault in one section hides none of another.
//! Not here: queues (`queues`), the way back (`render`).

use std::collections::BTreeMap;
use std::str::FromStr;

use domain::ids::{IdError, TenantId};
use domain::plan::{
    AccountPlan, AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, Level, SitePlan,
};

use super::queues;
use super::reader::{Reader, Section};

/// The cell that an agent belongs to when the file names none.
pub(super) const CELL: &str = "main";
/// The capacity of an agent when the file names none, in units.
pub(super) const CAPACITY: u32 = 100;
/// The tenant when the file names none.
pub(super) const TENANT: &str = "default";

const SECTIONS: &[&str] = &[
    "tenant", "policy", "site", "skill", "language", "channel", "account", "intake", "queue",
    "agent",
];

pub(super) fn plan<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> Option<FloorPlan> {
    reader.only(root, SECTIONS);
    let tenant = reader
        .name(root, "tenant")
        .or_else(|| TenantId::new(TENANT).ok());
    let policy = policy(reader, root);
    let sites = records(reader, (root, "site"), site);
    let skills = labels(reader, root, "skill");
    let languages = labels(reader, root, "language");
    let channels = records(reader, (root, "channel"), channel);
    let accounts = records(reader, (root, "account"), account);
    let intake = reader
        .rows(root, "intake")
        .iter()
        .filter_map(|row| rule(reader, row))
        .collect();
    let queues = records(reader, (root, "queue"), queues::queue);
    let agents = records(reader, (root, "agent"), agent);
    Some(FloorPlan {
        tenant: tenant?,
        sites,
        skills,
        languages,
        channels,
        accounts,
        intake,
        queues,
        agents,
        policy,
    })
}

/// The named tables of one section; those with a fault are left out.
fn records<'d, K: FromStr<Err = IdError> + Ord, V>(
    reader: &mut Reader<'d>,
    (root, key): (&Section<'d>, &str),
    read: impl Fn(&mut Reader<'d>, &Section<'d>) -> Option<V>,
) -> BTreeMap<K, V> {
    let mut found = BTreeMap::new();
    for (name, section) in reader.tables(root, key) {
        let id = reader.key_name(&section, &name);
        let record = read(reader, &section);
        if let (Some(id), Some(record)) = (id, record) {
            found.insert(id, record);
        }
    }
    found
}

/// A table of names with a text each.
fn labels<'d, K: FromStr<Err = IdError> + Ord>(
    reader: &mut Reader<'d>,
    root: &Section<'d>,
    key: &str,
) -> BTreeMap<K, String> {
    values(reader, (root, key), Reader::text)
}

/// A table of names with a level each.
pub(super) fn levels<'d, K: FromStr<Err = IdError> + Ord>(
    reader: &mut Reader<'d>,
    section: &Section<'d>,
    key: &str,
) -> BTreeMap<K, Level> {
    values(reader, (section, key), |reader, section, key| {
        reader.number(section, key).map(Level)
    })
}

fn values<'d, K: FromStr<Err = IdError> + Ord, V>(
    reader: &mut Reader<'d>,
    (section, key): (&Section<'d>, &str),
    read: impl Fn(&mut Reader<'d>, &Section<'d>, &str) -> Option<V>,
) -> BTreeMap<K, V> {
    let mut found = BTreeMap::new();
    let Some(table) = reader.table(section, key) else {
        return found;
    };
    for name in reader.keys(&table) {
        let value = read(reader, &table, &name);
        let id = reader.key_name(&table, &name);
        if let (Some(id), Some(value)) = (id, value) {
            found.insert(id, value);
        }
    }
    found
}

fn policy<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> FloorPolicy {
    let usual = FloorPolicy::default();
    let Some(table) = reader.table(root, "policy") else {
        return usual;
    };
    reader.only(
        &table,
        &[
            "heartbeat",
            "suspect",
            "lost",
            "lost_site_down",
            "customer_commands_max",
            "customer_window",
            "expiry_spike_min",
            "expiry_spike_share",
        ],
    );
    FloorPolicy {
        heartbeat_ms: reader
            .duration(&table, "heartbeat")
            .unwrap_or(usual.heartbeat_ms),
        suspect_ms: reader
            .duration(&table, "suspect")
            .unwrap_or(usual.suspect_ms),
        lost_ms: reader.duration(&table, "lost").unwrap_or(usual.lost_ms),
        lost_site_down_ms: reader
            .duration(&table, "lost_site_down")
            .unwrap_or(usual.lost_site_down_ms),
        customer_commands_max: reader
            .number(&table, "customer_commands_max")
            .unwrap_or(usual.customer_commands_max),
        customer_window_ms: reader
            .duration(&table, "customer_window")
            .unwrap_or(usual.customer_window_ms),
        expiry_spike_min: reader
            .number(&table, "expiry_spike_min")
            .unwrap_or(usual.expiry_spike_min),
        expiry_spike_permille: reader
            .share(&table, "expiry_spike_share")
            .unwrap_or(usual.expiry_spike_permille),
    }
}

fn site<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<SitePlan> {
    reader.only(table, &["name", "time_zone"]);
    let display_name = reader.required_text(table, "name");
    let time_zone = reader.required_text(table, "time_zone");
    Some(SitePlan {
        display_name: display_name?,
        time_zone: time_zone?,
    })
}

/// What the table leaves out follows the channel's name.
fn channel<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<ChannelPlan> {
    reader.only(
        table,
        &[
            "cost",
            "count_max",
            "exclusive",
            "gone",
            "gone_our_fault",
            "short_abandon",
        ],
    );
    let usual = ChannelPlan::usual(table.name());
    Some(ChannelPlan {
        cost: reader.number(table, "cost").unwrap_or(usual.cost),
        count_max: reader.number(table, "count_max").or(usual.count_max),
        exclusive: reader.flag(table, "exclusive").unwrap_or(usual.exclusive),
        gone_ms: reader.duration(table, "gone").unwrap_or(usual.gone_ms),
        gone_our_fault_ms: reader
            .duration(table, "gone_our_fault")
            .unwrap_or(usual.gone_our_fault_ms),
        short_abandon_ms: reader
            .duration(table, "short_abandon")
            .unwrap_or(usual.short_abandon_ms),
    })
}

fn account<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<AccountPlan> {
    reader.only(table, &["channel", "site", "queue", "boost"]);
    let channel = reader.required_name(table, "channel");
    let site = reader.required_name(table, "site");
    let queue = reader.required_name(table, "queue");
    let boost_ms = reader.duration(table, "boost").unwrap_or(0);
    Some(AccountPlan {
        channel: channel?,
        site: site?,
        queue: queue?,
        boost_ms,
    })
}

fn rule<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<IntakeRule> {
    reader.only(table, &["language", "topic", "queue", "boost"]);
    let language = reader.name(table, "language");
    let topic = reader.text(table, "topic");
    let queue = reader.required_name(table, "queue");
    let boost_ms = reader.duration(table, "boost").unwrap_or(0);
    Some(IntakeRule {
        language,
        topic,
        queue: queue?,
        boost_ms,
    })
}

fn agent<'d>(reader: &mut Reader<'d>, table: &Section<'d>) -> Option<AgentPlan> {
    reader.only(
        table,
        &[
            "name",
            "site",
            "cell",
            "capacity",
            "skills",
            "languages",
            "count_max",
            "team",
        ],
    );
    let display_name = reader.required_text(table, "name");
    let site = reader.required_name(table, "site");
    let cell = reader
        .text(table, "cell")
        .unwrap_or_else(|| CELL.to_owned());
    let capacity = reader.number(table, "capacity").unwrap_or(CAPACITY);
    let skills = levels(reader, table, "skills");
    let languages = levels(reader, table, "languages");
    let count_max = values(reader, (table, "count_max"), Reader::number);
    let team = reader.text(table, "team").unwrap_or_default();
    let (display_name, site) = (display_name?, site?);
    Some(AgentPlan {
        display_name,
        site,
        cell,
        capacity,
        skills,
        languages,
        count_max,
        team,
    })
}
