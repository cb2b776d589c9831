//! Claims about which member of a group is asked where no leader is known.

use std::sync::atomic::Ordering;

use ports::Door;

use super::doors_test::{Bench, mark};

#[tokio::test(start_paused = true)]
async fn a_member_that_knows_no_leader_is_not_asked_for_ever() {
    let mut bench = Bench::new();
    // The first one's log has failed: it answers, and knows nobody.
    let (sick, leader) = (bench.owner(false, None), bench.owner(true, None));
    let doors = bench.node(1, "c", None).await;
    bench.node(2, "c", Some(sick)).await;
    bench.node(3, "c", Some(leader.clone())).await;
    assert!(doors.call(mark()).await.is_ok());
    assert_eq!(leader.asked.load(Ordering::Relaxed), 1);
}
