//! Generates tonic services over the messages of `pb`: the public API's for very many streams, those
//! between nodes for few busy ones.

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() {
    let all = FileDescriptorSet::decode(pb::DESCRIPTORS)
        .expect("pb carries the descriptors that it was generated from");
    let (public, between) = all
        .file
        .into_iter()
        .partition(|file| file.package() == "antiphon.api.v1");
    generate(public, "crate::codec::SmallBuffers");
    generate(between, "tonic_prost::ProstCodec");
}

fn generate(file: Vec<prost_types::FileDescriptorProto>, codec: &str) {
    let descriptors = FileDescriptorSet { file };
    tonic_prost_build::configure()
        .codec_path(codec)
        .extern_path(".antiphon.api.v1", "::pb::api::v1")
        .extern_path(".antiphon.raft.v1", "::pb::raft::v1")
        .extern_path(".antiphon.store.v1", "::pb::store::v1")
        .compile_fds(descriptors)
        .expect("tonic generates services from checked descriptors");
}
