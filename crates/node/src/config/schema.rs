//! The JSON Schema of the configuration file, for editors.
//! Promise: made of the keys, of their defaults and of the comments of the default text, so that it says
//! what those say.
//! Not here: judging a file (`layers`, `check`).

use serde_json::{Map, Value, json};

use super::keys::{KEYS, Kind, is_live};
use super::{Config, text};

/// What `antiphon config schema` prints.
pub(super) fn schema() -> Value {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut sections = Map::new();
    for (section, key, kind) in KEYS {
        let entry = sections.entry(*section).or_insert_with(
            || json!({"type": "object", "additionalProperties": false, "properties": {}}),
        );
        entry["properties"][*key] = property(section, key, *kind, &defaults[*section][*key]);
    }
    sections["site"]["required"] = json!(["name"]);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of an Antiphon node",
        "type": "object",
        "additionalProperties": false,
        "required": ["site"],
        "properties": sections,
    })
}

fn property(section: &str, key: &str, kind: Kind, default: &Value) -> Value {
    let mut said = match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Number => json!({"type": "integer", "minimum": 0}),
        Kind::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
    };
    if let Some(words) = words(section, key) {
        said["enum"] = json!(words);
    }
    said["default"] = default.clone();
    said["description"] = json!(comment(section, key));
    said["x-live"] = json!(is_live(&format!("{section}.{key}")));
    said
}

/// The words that a key takes, where they are few.
fn words(section: &str, key: &str) -> Option<&'static [&'static str]> {
    match (section, key) {
        ("cluster", "profile") => Some(&["", "lan", "regional", "global"]),
        ("log", "format") => Some(&["auto", "text", "json"]),
        _ => None,
    }
}

/// The comment above a key in the default text; keys that stand together share one.
fn comment(section: &str, key: &str) -> String {
    let mut within = "";
    let mut said: Vec<&str> = Vec::new();
    let mut ended = true;
    for line in text::DEFAULT_TOML.lines() {
        if let Some(line) = line.strip_prefix("# ") {
            if ended {
                said.clear();
            }
            ended = false;
            said.push(line);
        } else if let Some(header) = line.strip_prefix('[') {
            within = header.trim_end_matches(']');
            said.clear();
        } else if let Some((name, _)) = line.split_once(" = ") {
            ended = true;
            if (within, name) == (section, key) {
                break;
            }
        }
    }
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_every_key_with_its_default() {
        let schema = schema();
        for (section, key, _) in KEYS {
            let property = &schema["properties"][*section]["properties"][*key];
            let said = property["description"].as_str().unwrap_or_default();
            assert!(said.len() > 10, "{section}.{key}: {property}");
            assert!(property.get("default").is_some(), "{section}.{key}");
        }
        let level = &schema["properties"]["log"]["properties"]["level"];
        assert_eq!(level["default"], "info");
        assert_eq!(level["x-live"], true);
        let peer = &schema["properties"]["listen"]["properties"]["advertise_peer"];
        assert!(
            peer["description"]
                .as_str()
                .unwrap()
                .starts_with("host:port")
        );
    }

    #[test]
    fn the_words_of_a_key_are_those_that_it_takes() {
        for (section, key, _) in KEYS {
            for word in words(section, key).into_iter().flatten() {
                let text = format!("[site]\nname = \"fra\"\n[{section}]\n{key} = \"{word}\"\n");
                let config: Config = toml::from_str(&text).unwrap();
                assert_eq!(config.problems(), [], "{section}.{key} = {word}");
            }
        }
    }
}
