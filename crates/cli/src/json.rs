//! JSON of answers: the protojson mapping of the API, by its own descriptors.
//! Promise: the names are those of the schema in lowerCamel; unset fields are there with their defaults.
//! Not here: the keys of `replay` and `bench`, which are their own.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::failure::Failure;

const PACKAGE: &str = "antiphon.api.v1";

/// One message of the API as JSON. `name` is its name in the schema.
pub fn of<M: Message>(name: &str, message: &M) -> Result<serde_json::Value, Failure> {
    let convert = || -> anyhow::Result<serde_json::Value> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS)?;
        let descriptor = pool
            .get_message_by_name(&format!("{PACKAGE}.{name}"))
            .ok_or_else(|| anyhow::anyhow!("the schema has no message {name}"))?;
        let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
        let options = SerializeOptions::new().skip_default_fields(false);
        Ok(dynamic.serialize_with_options(serde_json::value::Serializer, &options)?)
    };
    Ok(convert()?)
}

/// Prints one message of the API over several lines.
pub fn print<M: Message>(name: &str, message: &M) -> Result<(), Failure> {
    outln!("{:#}", of(name, message)?);
    Ok(())
}

/// Prints one message of the API in one line.
pub fn print_line<M: Message>(name: &str, message: &M) -> Result<(), Failure> {
    outln!("{}", of(name, message)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use pb::api::v1 as api;

    use super::*;

    #[test]
    fn names_are_those_of_the_api_and_defaults_are_there() {
        let summary = api::ConversationSummary {
            conversation_id: "main-7".into(),
            state: api::ConversationState::Queued.into(),
            age_ms: 12,
            ..Default::default()
        };
        let json = of("ConversationSummary", &summary).unwrap();
        assert_eq!(json["conversationId"], "main-7");
        assert_eq!(json["state"], "CONVERSATION_STATE_QUEUED");
        assert_eq!(json["ageMs"], "12");
        assert_eq!(json["position"], 0);
        assert_eq!(json["agent"], "");
    }
}
