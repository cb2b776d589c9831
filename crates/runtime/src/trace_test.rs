//! Claims about traces.

use std::time::Duration;

use super::*;
use crate::memory;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parent() -> TraceParent {
    PARENT.parse().expect("well formed")
}

#[test]
fn a_traceparent_is_read_as_it_is_written() {
    let TraceParent::Sampled(trace) = parent() else {
        panic!("its flag says so")
    };
    assert_eq!(trace.id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert_eq!(trace.span, 0xb7ad_6b71_6920_3331);
    assert_eq!(trace.to_string(), PARENT);
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(unsampled.parse(), Ok(TraceParent::NotSampled));
    // A later version may add to the end.
    let later = format!("01{}-more", &PARENT[2..]);
    assert_eq!(later.parse(), Ok(parent()));
}

#[test]
fn what_is_no_traceparent_is_refused() {
    let zeros = |len: usize| "0".repeat(len);
    for text in [
        String::new(),
        PARENT.to_uppercase(),
        format!("{PARENT}-more"),
        format!("ff{}", &PARENT[2..]),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", &zeros(32)),
        PARENT.replace("b7ad6b7169203331", &zeros(16)),
        PARENT[..PARENT.len() - 1].to_owned(),
        PARENT.replace('b', "+"),
    ] {
        assert_eq!(text.parse::<TraceParent>(), Err(BadTraceParent), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_goes_on_with_the_trace_that_it_came_with() {
    let (tracer, mut ended) = Tracer::new(&memory::env(1), 0);
    let span = tracer.begin(Some(parent()), "first", SpanKind::Server);
    let span = span.expect("it is sampled");
    let next = tracer.after(span.trace(), "second", SpanKind::Consumer);
    drop(next);
    tokio::time::advance(Duration::from_millis(3)).await;
    drop(span);
    let (second, first) = (ended.try_recv().unwrap(), ended.try_recv().unwrap());
    let TraceParent::Sampled(asked) = parent() else {
        panic!("sampled")
    };
    assert_eq!((first.trace.id, second.trace.id), (asked.id, asked.id));
    assert_eq!(
        (first.parent, second.parent),
        (asked.span, first.trace.span)
    );
    assert_eq!(first.ended_ns - first.begun_ns, 3_000_000);
}

#[tokio::test]
async fn a_share_of_what_comes_without_a_trace_begins_one_and_an_unsampled_one_never() {
    let share = |millionths: u32| {
        let (tracer, _ended) = Tracer::new(&memory::env(2), millionths);
        let begun = (0..10_000).filter(|_| tracer.begin(None, "x", SpanKind::Server).is_some());
        begun.count()
    };
    assert_eq!(share(0), 0);
    assert_eq!(share(1_000_000), 10_000);
    assert!((400..600).contains(&share(50_000)), "{}", share(50_000));
    let (tracer, _ended) = Tracer::new(&memory::env(2), 1_000_000);
    let unsampled = Some(TraceParent::NotSampled);
    assert!(tracer.begin(unsampled, "x", SpanKind::Server).is_none());
    assert!(
        Tracer::default()
            .begin(None, "x", SpanKind::Server)
            .is_none()
    );
}

#[tokio::test]
async fn spans_that_nobody_takes_are_dropped_and_counted() {
    let (tracer, ended) = Tracer::new(&memory::env(3), 1_000_000);
    for _ in 0..SPANS_MAX + 7 {
        drop(tracer.begin(None, "x", SpanKind::Server));
    }
    assert_eq!(ended.len(), SPANS_MAX);
    assert_eq!(tracer.dropped(), 7);
}

#[tokio::test]
async fn an_entry_of_long_ago_is_not_shown_again() {
    let env = memory::env(4);
    let (tracer, mut ended) = Tracer::new(&env, 0);
    let TraceParent::Sampled(cause) = parent() else {
        panic!("sampled")
    };
    let now_ms = env.clock.now_ms();
    drop(tracer.applied(cause, Instant::now(), now_ms - APPLIED_MS_MAX - 1));
    assert!(ended.is_empty());
    drop(tracer.applied(cause, Instant::now(), now_ms));
    let span = ended.try_recv().unwrap();
    assert_eq!(span.link, Some(cause));
    assert_ne!(span.trace.id, cause.id, "replicas do not repeat the trace");
}
