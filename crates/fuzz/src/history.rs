//! Histories of clients' calls, as `sim --check` reads them.
//! Promise: see the crate; what was read is written again as it was.
//! Not here: histories of a run (`sim`).

use sim::judge::conversation::{Extent, judge};
use sim::judge::history::History;

/// Calls that are judged: the search is bounded by states, and this bounds its time.
const CALLS_JUDGED_MAX: usize = 10;

/// A history in its text form.
pub fn sim_history(data: &[u8]) {
    let Ok(history) = History::read(data) else {
        return;
    };
    let mut written = Vec::new();
    history
        .write(&mut written)
        .expect("a buffer grows as needed");
    let again = History::read(&written[..]).expect("what was written can be read");
    assert_eq!(again.calls(), history.calls());
    if history.calls().len() <= CALLS_JUDGED_MAX {
        for extent in [Extent::Whole, Extent::Cut] {
            let judged = judge(history.calls(), extent);
            assert!(judged.conversations as usize <= history.calls().len());
        }
    }
}

/// One call of each kind in a conversation that has an order, and in one that has none.
pub fn seeds() -> Vec<Vec<u8>> {
    let call = |id: u32, client: &str, op: &str, args: &str, times: &str, value: &str| {
        format!(
            r#"{{"id":{id},"client":"{client}","op":"{op}","conversation":"c1-5","args":{args},{times},"value":{value}}}"#
        )
    };
    let open = call(
        1,
        "customer-1",
        "open",
        r#"{"id":"m1"}"#,
        r#""call_ns":1,"return_ns":2,"outcome":"ok""#,
        r#"{"sequence":1}"#,
    );
    let accept = call(
        2,
        "ana",
        "accept",
        r#"{"epoch":1}"#,
        r#""call_ns":3,"return_ns":4,"outcome":"ok""#,
        r#"{"epoch":2}"#,
    );
    let send = call(
        3,
        "customer-1",
        "send",
        r#"{"id":"m2"}"#,
        r#""call_ns":5,"return_ns":9,"outcome":"ok""#,
        r#"{"sequence":2}"#,
    );
    let reply = call(
        4,
        "ana",
        "reply",
        r#"{"id":"m3","epoch":2}"#,
        r#""call_ns":6,"return_ns":7,"outcome":"refused""#,
        r#"{"reason":"NOT_OWNER"}"#,
    );
    let read = call(
        5,
        "reader",
        "read",
        "{}",
        r#""call_ns":10,"return_ns":11,"outcome":"ok""#,
        r#"{"messages":[[1,"m1"],[2,"m2"]],"last":2,"ended":false,"epoch":2}"#,
    );
    let close = call(
        6,
        "customer-1",
        "close",
        "{}",
        r#""call_ns":12,"outcome":"unknown""#,
        "null",
    );
    let wrong = read.replace("m2", "m9");
    let lines = |lines: &[&String]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        text.into_bytes()
    };
    vec![
        lines(&[&open, &accept, &send, &reply, &read, &close]),
        lines(&[&open, &send, &wrong]),
    ]
}
