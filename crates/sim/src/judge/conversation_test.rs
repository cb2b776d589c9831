//! Whole histories, made up, as they stand in a file.

use std::fmt::Write as _;

use super::conversation::{Extent, Judgement, judge};
use super::history::History;

/// A history being written, one call a line; times are milliseconds.
#[derive(Default)]
struct Told {
    lines: String,
    count: u64,
}

impl Told {
    fn call(mut self, op: &str, args: &str, (from, to): (u64, Option<u64>), end: &str) -> Self {
        self.count += 1;
        let returned = to.map_or(String::new(), |to| {
            format!("\"return_ns\":{},", to * 1_000_000)
        });
        writeln!(
            self.lines,
            "{{\"id\":{},\"client\":\"c{}\",\"op\":\"{op}\",\"conversation\":\"c\",\"args\":{args},\"call_ns\":{},{returned}{end}}}",
            self.count,
            self.count,
            from * 1_000_000
        )
        .unwrap();
        self
    }

    /// A message is stored at a place.
    fn send(self, id: &str, times: (u64, u64), place: u64) -> Self {
        let args = format!("{{\"id\":\"{id}\"}}");
        let end = format!("\"outcome\":\"ok\",\"value\":{{\"sequence\":{place}}}");
        self.call("send", &args, (times.0, Some(times.1)), &end)
    }

    /// A message whose fate nobody knows.
    fn lost(self, id: &str, from: u64) -> Self {
        let args = format!("{{\"id\":\"{id}\"}}");
        self.call("send", &args, (from, None), "\"outcome\":\"unknown\"")
    }

    /// A transcript of these messages, with so many items.
    fn read(self, times: (u64, u64), last: u64, messages: &[(u64, &str)]) -> Self {
        let messages = serde_json::to_string(messages).unwrap();
        let value = format!("{{\"last\":{last},\"messages\":{messages},\"ended\":false}}");
        self.read_as(times, &value)
    }

    fn read_as(self, times: (u64, u64), value: &str) -> Self {
        let end = format!("\"outcome\":\"ok\",\"value\":{value}");
        self.call("read", "null", (times.0, Some(times.1)), &end)
    }

    fn refused(self, op: &str, args: &str, times: (u64, u64), reason: &str) -> Self {
        let end = format!("\"outcome\":\"refused\",\"value\":{{\"reason\":\"{reason}\"}}");
        self.call(op, args, (times.0, Some(times.1)), &end)
    }

    fn accept(self, times: (u64, u64), epoch: u64) -> Self {
        let end = format!("\"outcome\":\"ok\",\"value\":{{\"epoch\":{epoch}}}");
        self.call("accept", "{}", (times.0, Some(times.1)), &end)
    }

    /// An agent's act in an epoch.
    fn act(self, op: &str, times: (u64, u64), epoch: u64) -> Self {
        let args = format!("{{\"epoch\":{epoch}}}");
        self.call(op, &args, (times.0, Some(times.1)), "\"outcome\":\"ok\"")
    }

    fn judged(&self) -> Judgement {
        let history = History::read(self.lines.as_bytes()).expect("these are calls");
        judge(history.calls(), Extent::Whole)
    }

    fn holds(&self) {
        let judged = self.judged();
        assert_eq!(judged.violations, []);
        assert_eq!(judged.not_decided, [""; 0]);
        assert_eq!(judged.conversations, 1);
    }

    /// The rule that is broken.
    fn breaks(&self) -> &'static str {
        let judged = self.judged();
        let found = judged.violations.first().expect("it does not hold");
        assert!(!found.before.is_empty(), "{found}");
        assert!(found.subject.contains("conversation c"), "{found}");
        found.rule
    }
}

const ORDER: &str = "linearizability";

#[test]
fn what_clients_may_see_holds() {
    Told::default()
        .send("a", (0, 10), 2)
        .read((11, 12), 2, &[(2, "a")])
        .send("b", (13, 30), 4)
        .read((14, 20), 3, &[(2, "a")])
        .read((21, 29), 5, &[(2, "a"), (4, "b")])
        .read((31, 40), 5, &[(2, "a"), (4, "b")])
        .holds();
}

#[test]
fn a_lost_update_is_found() {
    let told = Told::default()
        .send("a", (0, 10), 2)
        .send("b", (11, 20), 4)
        .read((21, 30), 4, &[(2, "a")]);
    let judged = told.judged();
    assert_eq!(told.breaks(), ORDER);
    let shown = &judged.violations[0].before;
    assert_eq!(
        shown.len(),
        2,
        "the message and the read that lacks it: {shown:?}"
    );
}

#[test]
fn a_stale_read_is_found() {
    let stale = Told::default()
        .send("a", (0, 10), 2)
        .send("b", (11, 50), 4)
        .read((12, 20), 4, &[(2, "a"), (4, "b")])
        .read((21, 30), 2, &[(2, "a")]);
    assert_eq!(stale.breaks(), ORDER);
    let places_run_back = Told::default()
        .send("a", (0, 10), 2)
        .read((12, 20), 5, &[(2, "a")])
        .read((21, 30), 4, &[(2, "a")]);
    assert_eq!(places_run_back.breaks(), ORDER);
}

#[test]
fn a_message_that_is_stored_twice_after_an_unknown_outcome_is_found() {
    let told = Told::default().send("x", (0, 1), 2).lost("a", 2).read(
        (11, 12),
        4,
        &[(2, "x"), (3, "a"), (4, "a")],
    );
    let judged = told.judged();
    assert_eq!(judged.violations[0].rule, "a request id is answered once");
}

#[test]
fn messages_of_another_order_than_their_acknowledgements_are_found() {
    let told = Told::default()
        .send("a", (0, 10), 7)
        .send("b", (11, 20), 4)
        .read((0, 40), 7, &[(4, "b"), (7, "a")]);
    assert_eq!(told.breaks(), ORDER);
    let by_reads = Told::default()
        .send("a", (0, 10), 2)
        .lost("b", 11)
        .lost("c", 12)
        .read((20, 21), 4, &[(2, "a"), (4, "b")])
        .read((22, 23), 4, &[(2, "a"), (3, "c"), (4, "b")]);
    assert_eq!(by_reads.breaks(), ORDER);
}

#[test]
fn an_unknown_outcome_may_have_its_effect_late_or_never() {
    Told::default()
        .send("a", (0, 10), 2)
        .lost("b", 11)
        .lost("never", 12)
        .read((20, 21), 2, &[(2, "a")])
        .send("c", (22, 30), 3)
        .read((31, 32), 9, &[(2, "a"), (3, "c"), (9, "b")])
        .holds();
    let before_its_call = Told::default()
        .send("a", (0, 10), 2)
        .read((11, 12), 3, &[(2, "a"), (3, "b")])
        .lost("b", 20);
    assert_eq!(before_its_call.breaks(), ORDER);
}

#[test]
fn the_same_message_again_has_its_first_place_even_when_it_is_over() {
    let again = Told::default()
        .send("a", (0, 10), 2)
        .act("close", (11, 20), 3)
        .send("a", (21, 30), 2);
    again.holds();
    let another = Told::default().send("a", (0, 10), 2).send("a", (21, 30), 3);
    let judged = another.judged();
    assert_eq!(judged.violations[0].rule, "a request id is answered once");
}

#[test]
fn nothing_is_stored_once_it_has_ended() {
    let after_close = Told::default()
        .send("a", (0, 10), 2)
        .act("close", (11, 20), 3)
        .send("b", (21, 30), 4);
    assert_eq!(after_close.breaks(), ORDER);
    let after_refusal = Told::default()
        .send("a", (0, 10), 2)
        .refused("close", "{}", (11, 20), "CONVERSATION_CLOSED")
        .send("b", (21, 30), 4);
    assert_eq!(after_refusal.breaks(), ORDER);
    let closed_twice = Told::default()
        .send("a", (0, 10), 2)
        .act("close", (11, 20), 3)
        .act("close", (21, 30), 4);
    assert_eq!(closed_twice.breaks(), ORDER);
    let ended = r#"{"last":4,"messages":[[2,"a"]],"ended":true,"epoch":4}"#;
    let grows = r#"{"last":5,"messages":[[2,"a"]],"ended":true,"epoch":4}"#;
    let told = Told::default()
        .send("a", (0, 10), 2)
        .act("close", (11, 20), 3)
        .read_as((21, 22), ended)
        .read_as((23, 24), ended);
    told.holds();
    assert_eq!(told.read_as((25, 26), grows).breaks(), ORDER);
    Told::default()
        .send("a", (0, 10), 2)
        .act("close", (11, 40), 3)
        .send("b", (12, 30), 3)
        .holds();
}

#[test]
fn who_acts_in_an_epoch_that_is_over_is_found() {
    let late = Told::default()
        .send("a", (0, 10), 2)
        .accept((11, 20), 2)
        .accept((21, 30), 4)
        .act("hold", (31, 40), 2);
    assert_eq!(late.breaks(), ORDER);
    let twice = Told::default()
        .send("a", (0, 10), 2)
        .accept((11, 20), 2)
        .accept((21, 30), 2);
    assert_eq!(twice.breaks(), ORDER);
    let given_away = Told::default()
        .send("a", (0, 10), 2)
        .accept((11, 20), 2)
        .act("transfer", (21, 30), 2)
        .act("hold", (31, 40), 2);
    assert_eq!(given_away.breaks(), ORDER);
    Told::default()
        .send("a", (0, 10), 2)
        .accept((11, 20), 2)
        .act("hold", (21, 30), 2)
        .act("resume", (31, 40), 2)
        .act("transfer", (41, 50), 2)
        .accept((51, 60), 4)
        .act("close", (61, 70), 4)
        .holds();
}

#[test]
fn what_is_refused_or_was_never_sent_is_never_seen() {
    let refused = Told::default()
        .send("a", (0, 10), 2)
        .refused("send", r#"{"id":"b"}"#, (11, 20), "RATE_LIMITED")
        .read((30, 31), 3, &[(2, "a"), (3, "b")]);
    assert_eq!(refused.breaks(), "a refusal is final");
    let nobody = Told::default()
        .send("a", (0, 10), 2)
        .read((30, 31), 3, &[(2, "a"), (3, "b")]);
    assert_eq!(nobody.breaks(), "a message comes from its client");
    let history = History::read(nobody.lines.as_bytes()).unwrap();
    let cut = judge(history.calls(), Extent::Cut);
    assert_eq!(cut.violations, []);
    assert_eq!(cut.not_decided, ["c"]);
}

#[test]
fn a_conversation_that_was_acknowledged_is_always_found() {
    let gone = Told::default().send("a", (0, 10), 2).refused(
        "read",
        "null",
        (11, 12),
        "CONVERSATION_NOT_FOUND",
    );
    assert_eq!(gone.breaks(), ORDER);
    Told::default()
        .refused("read", "null", (0, 1), "CONVERSATION_NOT_FOUND")
        .send("a", (2, 10), 2)
        .holds();
}

#[test]
fn a_history_of_others_may_say_less() {
    Told::default()
        .send("a", (0, 10), 1)
        .read_as((11, 12), r#"[[1,"a"]]"#)
        .send("b", (13, 20), 2)
        .read_as((21, 22), r#"[[1,"a"],[2,"b"]]"#)
        .holds();
    let stale = Told::default()
        .send("a", (0, 10), 1)
        .send("b", (13, 20), 2)
        .read_as((21, 22), r#"[[1,"a"]]"#);
    assert_eq!(stale.breaks(), ORDER);
    let error = History::read("\n{\"id\":1}\n".as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("line 2: "), "{error}");
}

#[test]
fn what_is_written_can_be_read_and_calls_side_by_side_are_counted() {
    let told = Told::default()
        .send("a", (0, 10), 2)
        .send("b", (5, 20), 3)
        .lost("c", 30)
        .read((40, 41), 3, &[(2, "a"), (3, "b")]);
    let history = History::read(told.lines.as_bytes()).unwrap();
    let mut written = Vec::new();
    history.write(&mut written).unwrap();
    assert_eq!(
        History::read(&written[..]).unwrap().calls(),
        history.calls()
    );
    let judged = told.judged();
    assert_eq!(judged.calls, 3, "nobody saw c: it is left out");
    assert_eq!(judged.side_by_side, 1);
}
