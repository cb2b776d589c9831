//! Texts and first bytes: floor plan, configuration, identity, ids and tokens, the head of a connection.
//! Promise: see the crate; what was read is written again with the same meaning.
//! Not here: requests that carry them (`api_calls`).

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use domain::ids::{ConversationId, OfferId, QueueId, RequestId};
use node::config::{Config, Layered, Sources};
use pb::api::v1::SearchArchiveRequest;
use runtime::memory::MemoryDisk;
use runtime::trace::{Trace, TraceParent};
use runtime::{BoxConn, PURPOSE_BYTES, Purpose};
use store::archive::PageToken;
use store::{DataDir, Identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{block_on, env, put};
use crate::seal;

/// A floor plan as people write it.
pub fn floor_plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = text.lines().count() as u32 + 1;
    match wire::floor::parse_unchecked(text) {
        Ok(plan) => {
            let stored = wire::plan::encode_plan(&plan);
            assert_eq!(wire::plan::decode_plan(&stored).as_ref(), Ok(&plan));
            let rendered = wire::floor::render(&plan);
            let again = wire::floor::parse_unchecked(&rendered);
            assert_eq!(again.as_ref(), Ok(&plan), "{rendered}");
            assert!(wire::floor::differences(Some(&plan), &plan).is_empty());
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal says why");
            assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
    if let Err(faults) = wire::floor::parse(text) {
        assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
    }
}

/// Layers of configuration, parted by zeros: the file, then variables and flags as `NAME=VALUE`; a flag's name has
/// a dot.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut parts = text.split('\0');
    let mut sources = Sources {
        file: parts
            .next()
            .map(|file| ("antiphon.toml".to_owned(), file.to_owned())),
        ..Sources::default()
    };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let layer = match name.contains('.') {
            true => &mut sources.flags,
            false => &mut sources.env,
        };
        layer.push((name.to_owned(), value.to_owned()));
    }
    match Layered::load(&sources) {
        Ok(layered) => {
            // A name of the site is missed by whoever starts a node, not here.
            drop(layered.config.problems());
            assert!(layered.changes(&layered.config).is_empty());
            assert_eq!(
                layered.values().len(),
                Layered::of_program(Config::default()).values().len()
            );
        }
        Err(faults) => assert!(!faults.is_empty(), "a refusal says why"),
    }
}

/// The file that says whose a data directory is, its checksum made right where the first byte is odd.
pub fn identity(data: &[u8]) {
    let Some((mode, text)) = data.split_first() else {
        return;
    };
    let mut text = text.to_vec();
    if mode % 2 == 1 {
        seal::identity(&mut text);
    }
    let dir = Path::new("/node");
    block_on(async {
        let disk = MemoryDisk::default();
        put(&disk, &dir.join("identity"), &text).await;
        let Ok(mut opened) = DataDir::open(&env(&disk), dir).await else {
            return;
        };
        let found = opened.identity().cloned().expect("the file was there");
        let claimed = opened.claim(found).await;
        assert!(
            claimed.is_ok(),
            "a directory is of whom it says: {claimed:?}"
        );
    });
}

/// What is read is shown as it was written.
fn shown_as_written<T: FromStr<Err: Debug> + Display>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert_eq!(id.to_string(), text);
    }
}

/// What is read is shown in its one form, which is read as the same.
fn comes_back<T: FromStr<Err: Debug + PartialEq> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert_eq!(id.to_string().parse::<T>().as_ref(), Ok(&id));
    }
}

/// Ids, page tokens and trace parents in a request.
pub fn tokens(data: &[u8]) {
    if let Some(token) = PageToken::from_bytes(data) {
        assert_eq!(token.to_bytes(), data);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    comes_back::<ConversationId>(text);
    comes_back::<OfferId>(text);
    shown_as_written::<QueueId>(text);
    if let Ok(id) = RequestId::new(text) {
        assert_eq!(id.to_string(), text);
        assert!(id.tag() > 0);
    }
    drop((
        api::check::request_id(text),
        api::check::conversation(text),
        api::check::offer(text),
    ));
    if let Ok(Some(place)) = api::Place::of(text) {
        assert_eq!(api::Place::of(&place.token()), Ok(Some(place)));
    }
    let search = SearchArchiveRequest {
        page_token: text.to_owned(),
        ..SearchArchiveRequest::default()
    };
    if let Ok(query) = api::archive_query(&search) {
        assert_eq!(query.after.map_or(0, |after| 2 * after.len()), text.len());
    }
    if let Ok(TraceParent::Sampled(trace)) = text.parse() {
        assert_eq!(Trace::read(&trace.to_string()), Some(trace));
    }
}

/// The first bytes of a connection between nodes.
pub fn connection_head(data: &[u8]) {
    block_on(async {
        let (mut far, near) = tokio::io::duplex(data.len().max(1));
        far.write_all(data).await.expect("there is room for all");
        drop(far);
        let mut conn: BoxConn = Box::new(near);
        if let Ok(purpose) = Purpose::of(&mut conn).await {
            assert!(data.len() >= PURPOSE_BYTES, "{purpose:?} was said in full");
            let mut rest = Vec::new();
            let read = conn.read_to_end(&mut rest).await;
            assert!(read.is_ok());
            assert_eq!(rest, data[PURPOSE_BYTES..], "what follows is left");
        }
    });
}

/// The plan that is shipped, and the least.
pub fn plan_seeds() -> Vec<Vec<u8>> {
    let sections = wire::floor::SAMPLE.split("\n\n");
    let mut seeds: Vec<Vec<u8>> = sections.map(|part| part.as_bytes().to_vec()).collect();
    seeds.push(wire::floor::SAMPLE.as_bytes().to_vec());
    seeds
}

/// The default file, and each layer over it.
pub fn config_seeds() -> Vec<Vec<u8>> {
    let small =
        "[site]\nname = \"fra\"\n[log]\nlevel = \"info,raft=debug\"\n[telemetry]\nsample = 0.01\n";
    let layers = "ANTIPHON_SITE_NAME=sha\0ANTIPHON_CLUSTER_JOIN=a:1,b:2\0limits.connections=7\0listen.admin=";
    vec![
        Config::default_toml().as_bytes().to_vec(),
        small.as_bytes().to_vec(),
        format!("{small}\0{layers}").into_bytes(),
    ]
}

/// An identity as `store` writes it.
pub fn identity_seeds() -> Vec<Vec<u8>> {
    let dir = Path::new("/node");
    let text = block_on(async {
        let disk = MemoryDisk::default();
        let mut opened = DataDir::open(&env(&disk), dir).await.ok()?;
        let identity = Identity {
            cluster_id: "6f1c2d3e-0000-4abc-8def-0123456789ab".to_owned(),
            node_id: 2,
            node_name: "fra-n1".to_owned(),
            site: "fra".to_owned(),
            region: "eu".to_owned(),
            profile: "lan".to_owned(),
        };
        opened.claim(identity).await.ok()?;
        disk.content(&dir.join("identity"))
    });
    let text = text.expect("a disk in memory takes an identity");
    vec![[&[1], &text[..]].concat()]
}

/// One of each.
pub fn token_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "c1-1234",
        "o1-1-42",
        "6f1c2d3e-0000-4abc-8def-0123456789ab",
        "1.ffffffffffffffff.11",
        "000001a0ffffffff00000000000000070000002a",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "客服 team.3",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Both purposes, and what else comes to such a port.
pub fn head_seeds() -> Vec<Vec<u8>> {
    vec![
        b"antiphon\0\0\0\x01\0\0\0\x01rest".to_vec(),
        b"antiphon\0\0\0\x01\0\0\0\x02".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /metrics HTTP/1.1\r\n\r\n".to_vec(),
    ]
}
