//! Generates tonic services over the messages of `pb`.

use prost::Message as _;

fn main() {
    let descriptors = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS)
        .expect("pb carries the descriptors that it was generated from");
    tonic_prost_build::configure()
        .extern_path(".antiphon.api.v1", "::pb::api::v1")
        .extern_path(".antiphon.raft.v1", "::pb::raft::v1")
        .extern_path(".antiphon.store.v1", "::pb::store::v1")
        .compile_fds(descriptors)
        .expect("tonic generates services from checked descriptors");
}
