//! The sample dialogues of `antiphon dev`, written for it: Chinese, English, German.
//! Promise: account, language and topic are those of the sample floor plan.
//! Not here: playing them (`super`).

/// Who says a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Customer,
    Agent,
}

/// One dialogue.
pub struct Dialogue {
    pub account: &'static str,
    pub name: &'static str,
    pub language: &'static str,
    pub topic: &'static str,
    /// What the customer writes first.
    pub opening: &'static str,
    pub turns: &'static [(Side, &'static str)],
}

use Side::{Agent, Customer};

/// All of them.
pub const DIALOGUES: &[Dialogue] = &[
    Dialogue {
        account: "web-cn",
        name: "王小姐",
        language: "zh",
        topic: "酒店",
        opening: "你好，我想改一下酒店的入住日期。",
        turns: &[
            (Agent, "您好！请问订单号是多少？想改到哪一天？"),
            (Customer, "订单号 88321，改到下周五。"),
            (Agent, "已经帮您改到下周五，价格不变，确认短信马上发给您。"),
            (Customer, "太好了，谢谢！"),
        ],
    },
    Dialogue {
        account: "web-us",
        name: "Dana",
        language: "en",
        topic: "flights",
        opening: "My flight tomorrow was moved by six hours. Can I get on an earlier one?",
        turns: &[
            (
                Agent,
                "I am sorry about that. Which flight is it, and where do you start?",
            ),
            (Customer, "AN 417 from Boston."),
            (
                Agent,
                "There are two seats at 7:40 in the morning. Shall I put you on that one?",
            ),
            (Customer, "Yes, please."),
            (Agent, "Done. Your new boarding pass is in the app."),
        ],
    },
    Dialogue {
        account: "web-de",
        name: "Herr Brandt",
        language: "de",
        topic: "refunds",
        opening: "Guten Tag, wann kommt die Erstattung für meine stornierte Reise?",
        turns: &[
            (Agent, "Guten Tag! Nennen Sie mir bitte die Buchungsnummer?"),
            (Customer, "DE-20931"),
            (
                Agent,
                "Die Erstattung ist heute hinausgegangen und in zwei Werktagen auf Ihrem Konto.",
            ),
            (Customer, "Vielen Dank."),
        ],
    },
    Dialogue {
        account: "web-cn",
        name: "李先生",
        language: "zh",
        topic: "景点",
        opening: "请问周末去故宫还需要预约吗？",
        turns: &[
            (Agent, "需要的，周末名额比较紧张，建议提前三天预约。"),
            (Customer, "两个人，周六上午还有票吗？"),
            (Agent, "周六上午还有，我帮您约 9 点半的两张可以吗？"),
            (Customer, "可以，麻烦你了。"),
        ],
    },
    Dialogue {
        account: "web-us",
        name: "Sam",
        language: "en",
        topic: "movies",
        opening: "I booked two seats for the wrong evening.",
        turns: &[
            (Customer, "It should be Saturday, not Friday."),
            (
                Agent,
                "No problem, Saturday at 8 still has seats together in row F.",
            ),
            (Customer, "Row F is fine."),
            (Agent, "Changed. Enjoy the film!"),
        ],
    },
    Dialogue {
        account: "web-de",
        name: "Frau Yıldız",
        language: "de",
        topic: "orders",
        opening: "Hallo, ich kann mich nicht mehr anmelden.",
        turns: &[
            (Agent, "Hallo! Bekommen Sie eine Fehlermeldung?"),
            (Customer, "Ja: Konto gesperrt."),
            (
                Agent,
                "Ich habe die Sperre aufgehoben. Bitte versuchen Sie es jetzt noch einmal.",
            ),
            (Customer, "Es geht wieder, danke!"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_fit_the_sample_floor_plan() {
        let plan = include_str!("../../../../../deploy/floor.toml");
        let plan: toml::Table = plan.parse().unwrap();
        for dialogue in DIALOGUES {
            assert!(
                plan["account"].get(dialogue.account).is_some(),
                "{}",
                dialogue.account
            );
            assert!(
                plan["language"].get(dialogue.language).is_some(),
                "{}",
                dialogue.language
            );
            assert!(!dialogue.opening.is_empty() && !dialogue.turns.is_empty());
        }
    }
}
