//! Requests that nobody would send: every method of the public API, every field of what it takes, drawn from the
//! compiled schema, so that what is added to it is asked too.
//! Promise: each is answered or refused with a reason that is no defect; nothing panics, no replica stops, and
//! the nodes serve on.
//! Not here: bytes that are no request at all (`garbage_test`), the reasons one by one (`reasons_test`).

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream;
use pb::api::v1::{
    AttachResponse, ErrorReason, OpenRequest, Refusal, ResumeQueueRequest, WorkResponse,
    attach_response, work_response,
};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use runtime::memory;
use tokio::time::timeout;
use tonic::Status;
use tonic_types::StatusExt;

use super::DevOptions;
use super::proof_test::cell;
use super::stubs_test::{Raw, Stubs, opening};
use super::talk_test::formed_with;

/// The package that clients may call.
const PUBLIC: &str = "antiphon.api.v1";
/// Requests of one run.
const CASES: usize = 1_500;
/// Messages of one stream at most.
const STREAM_MAX: usize = 5;
/// Messages inside messages.
const DEPTH_MAX: usize = 3;
/// How long the answers to one stream are listened to.
const LISTEN: Duration = Duration::from_secs(12);

/// One method of the API.
#[derive(Debug, Clone)]
struct Method {
    path: String,
    takes: String,
    many: bool,
    streams: bool,
}

/// The public API, as it was compiled in.
struct Schema {
    methods: Vec<Method>,
    messages: BTreeMap<String, DescriptorProto>,
}

impl Schema {
    fn compiled() -> Self {
        let mut schema = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        schema.file.retain(|file| file.package() == PUBLIC);
        let (mut methods, mut messages) = (Vec::new(), BTreeMap::new());
        for file in schema.file {
            for service in &file.service {
                methods.extend(service.method.iter().map(|method| Method {
                    path: format!("/{PUBLIC}.{}/{}", service.name(), method.name()),
                    takes: method.input_type().to_owned(),
                    many: method.client_streaming(),
                    streams: method.client_streaming() || method.server_streaming(),
                }));
            }
            for message in file.message_type {
                messages.insert(format!(".{PUBLIC}.{}", message.name()), message);
            }
        }
        Self { methods, messages }
    }

    /// A message of a type, encoded.
    fn message(&self, name: &str, known: &[String], depth: usize) -> BoxedStrategy<Vec<u8>> {
        let found = self.messages.get(name).filter(|_| depth < DEPTH_MAX);
        let Some(message) = found else {
            return Just(Vec::new()).boxed();
        };
        let fields = message.field.iter();
        let fields: Vec<_> = fields
            .map(|field| self.field(field, known, depth))
            .collect();
        fields.prop_map(|fields| fields.concat()).boxed()
    }

    /// A field with its key, more than one of it if there may be, or nothing.
    fn field(
        &self,
        field: &FieldDescriptorProto,
        known: &[String],
        depth: usize,
    ) -> BoxedStrategy<Vec<u8>> {
        let number = u32::try_from(field.number()).unwrap();
        let one: BoxedStrategy<Vec<u8>> = match field.r#type() {
            Type::String => text(field.name(), known)
                .prop_map(move |text| lengthy(number, text.as_bytes()))
                .boxed(),
            Type::Message => self
                .message(field.type_name(), known, depth + 1)
                .prop_map(move |message| lengthy(number, &message))
                .boxed(),
            _ => numbers()
                .prop_map(move |value| varint(number, value))
                .boxed(),
        };
        let times = match field.label() {
            Label::Repeated => 0..20_usize,
            _ => 0..2,
        };
        // Nearly always there: what lacks an id is refused before anything else is looked at.
        let often = vec(one.clone(), 1..=1).prop_map(|some| some.concat());
        let maybe = vec(one, times).prop_map(|some| some.concat());
        prop_oneof![8 => often, 2 => maybe].boxed()
    }
}

fn lengthy(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut encoded);
    encode_varint(bytes.len() as u64, &mut encoded);
    encoded.extend_from_slice(bytes);
    encoded
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_key(number, WireType::Varint, &mut encoded);
    encode_varint(value, &mut encoded);
    encoded
}

fn numbers() -> BoxedStrategy<u64> {
    let edges = [0, 1, 2, 5, 1 << 31, u64::from(u32::MAX), 1 << 63, u64::MAX];
    prop_oneof![
        3 => proptest::sample::select(edges.to_vec()),
        2 => 0..200_u64,
        1 => any::<u64>(),
    ]
    .boxed()
}

/// What may stand in a text: most often something that is known, or has the right form.
fn text(field: &str, known: &[String]) -> BoxedStrategy<String> {
    let fresh = any::<u64>().prop_map(|n| format!("r{n:x}"));
    let known = proptest::sample::select(known.to_vec());
    let usual = match field {
        "request_id" => fresh.boxed(),
        _ => known.boxed(),
    };
    prop_oneof![6 => usual, 1 => odd(), 1 => random()].boxed()
}

/// Texts at the edges of what is allowed, and beyond.
fn odd() -> BoxedStrategy<String> {
    let texts = [
        String::new(),
        " ".to_owned(),
        "\0".to_owned(),
        "\u{202e}\u{200b}".to_owned(),
        "\u{1f4a5}".repeat(33),
        "x".repeat(36),
        "x".repeat(37),
        "x".repeat(128),
        "x".repeat(129),
        "x".repeat(4_097),
        "x".repeat(64 * 1_024 + 1),
        "c1-0".to_owned(),
        "c0-1".to_owned(),
        "o0-1-1".to_owned(),
        "c1--1".to_owned(),
        "c4294967296-1".to_owned(),
        "c1-18446744073709551615".to_owned(),
        "c1-18446744073709551616".to_owned(),
        "o1-1-18446744073709551615".to_owned(),
        "../../etc/passwd".to_owned(),
        "{{\"a\":[[[[".to_owned(),
        "[queue.desk]\nwaiting_max = -1".to_owned(),
        "=[a]=".to_owned(),
    ];
    proptest::sample::select(texts.to_vec()).boxed()
}

fn random() -> BoxedStrategy<String> {
    let chars = vec(any::<char>(), 0..60);
    chars.prop_map(|chars| chars.into_iter().collect()).boxed()
}

/// What a run draws: a method and the messages for it.
type Case = (Method, Vec<Vec<u8>>);

fn cases(schema: &Schema, known: &[String]) -> BoxedStrategy<Case> {
    let one = |method: &Method| {
        let message = schema.message(&method.takes, known, 0);
        let count = match method.many {
            true => 1..=STREAM_MAX,
            false => 1..=1,
        };
        (Just(method.clone()), vec(message, count)).boxed()
    };
    let all: Vec<_> = schema.methods.iter().map(one).collect();
    proptest::strategy::Union::new(all).boxed()
}

/// A refusal of ours, and no defect.
fn is_sound(status: &Status) -> Result<(), String> {
    let details = status.get_error_details();
    let info = details.error_info().ok_or("it has no reason")?;
    if info.domain != "antiphon" {
        return Err(format!("its reason is of {}", info.domain));
    }
    let name = format!("ERROR_REASON_{}", info.reason);
    let reason = ErrorReason::from_str_name(&name);
    is_sound_reason(reason.ok_or("its reason is not in the schema")?)
}

fn is_sound_reason(reason: ErrorReason) -> Result<(), String> {
    use ErrorReason as R;
    match reason {
        R::Internal | R::MachineDefect => Err("it is a defect".to_owned()),
        _ => Ok(()),
    }
}

/// What a message of a stream says of refusals.
fn is_sound_message(path: &str, message: &[u8]) -> Result<(), String> {
    let sound = |refusal: Option<Refusal>| is_sound_reason(refusal.unwrap_or_default().reason());
    if path.ends_with("/Attach") {
        use attach_response::Response;
        match AttachResponse::decode(message).unwrap().response {
            Some(Response::Refused(refused)) => sound(refused.refusal),
            Some(Response::Ended(ended)) => is_sound_reason(ended.reason()),
            _ => Ok(()),
        }
    } else if path.ends_with("/Work") {
        use work_response::Response;
        match WorkResponse::decode(message).unwrap().response {
            Some(Response::Refused(refused)) => sound(refused.refusal),
            Some(Response::Ended(ended)) => is_sound_reason(ended.reason()),
            _ => Ok(()),
        }
    } else {
        Ok(())
    }
}

async fn answered(raw: &Raw, (method, messages): Case) -> Result<(), String> {
    if !method.streams {
        let message = messages.into_iter().next().unwrap_or_default();
        let answer = raw.call(&method.path, message).await;
        return answer.map_or_else(|status| is_sound(&status), |_| Ok(()));
    }
    let opened = raw.stream(&method.path, stream::iter(messages)).await;
    let mut down = match opened {
        Ok(down) => down,
        Err(status) => return is_sound(&status),
    };
    let listening = async {
        loop {
            match down.message().await {
                Ok(Some(message)) => is_sound_message(&method.path, &message)?,
                Ok(None) => return Ok(()),
                Err(status) => return is_sound(&status),
            }
        }
    };
    // A stream that only goes down does not end.
    timeout(LISTEN, listening).await.unwrap_or(Ok(()))
}

#[tokio::test(start_paused = true)]
async fn whatever_is_asked_has_an_answer_or_a_reason_and_the_nodes_serve_on() {
    let env = memory::env(71);
    let floor = include_str!("reasons_test/floor.toml").to_owned();
    let options = DevOptions {
        floor: Some(floor),
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let mut known: Vec<String> = ["web", "desk", "strict", "ana", "ben", "kim", "de", "main"]
        .map(str::to_owned)
        .to_vec();
    known.extend(["sha-n1", "fra-n1", "mia", "o1-1-1", "o1-1-2", "phone"].map(str::to_owned));
    for customer in ["one", "two", "three"] {
        known.push(node.opened(customer).await);
    }
    let raws = [0, 1].map(|at| Stubs::at(&env, &dev.nodes()[at]));
    let raws: Vec<Raw> = futures::future::join_all(raws)
        .await
        .into_iter()
        .map(|stubs| Raw(stubs.channel))
        .collect();
    let drawn = cases(&Schema::compiled(), &known);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    // All of a run are told at once, the first of each method.
    let mut found = BTreeMap::new();
    for number in 0..CASES {
        let case = drawn.new_tree(&mut runner).unwrap().current();
        let raw = &raws[number % raws.len()];
        if let Err(why) = answered(raw, case.clone()).await {
            let told = format!("case {number}: {why}: {case:?}");
            found.entry(case.0.path).or_insert(told);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    for at in 0..3 {
        let cell = cell(&dev, at);
        assert_eq!(cell.view.actor_failures(), 0);
        assert_eq!(*cell.group.halted().borrow(), None);
    }
    still_serves(&mut node).await;
    dev.shutdown().await;
}

/// Somebody may have paused the line in between.
async fn still_serves(node: &mut Stubs) {
    let resume = ResumeQueueRequest {
        queue: "strict".to_owned(),
        request_id: node.id(),
        staff: "lin".to_owned(),
        reason: "on again".to_owned(),
    };
    let _ = node.floor.resume_queue(resume).await;
    let request = OpenRequest {
        request_id: node.id(),
        queue: "strict".to_owned(),
        ..opening("afterwards")
    };
    node.customers.open(request).await.unwrap();
}
