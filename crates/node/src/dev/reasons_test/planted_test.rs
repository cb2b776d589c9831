//! What takes a long life, several cells or a defect: each is planted in every replica alike, and the answers are
//! those of the machine.

use domain::cell::Planted;
use pb::api::v1::{ErrorReason as R, OpenRequest, OpenResponse, SendRequest};
use tonic::{Response, Status};

use super::{Heard, formed};
use crate::dev::Dev;
use crate::dev::proof_test::cell;
use crate::dev::stubs_test::{Stubs, opening};

pub(super) async fn play() -> Heard {
    let (env, dev) = formed(68).await;
    let mut heard = Heard::default();
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let id = node.opened("ann").await;
    let unwell = SendRequest {
        conversation_id: id.clone(),
        request_id: node.id(),
        text: "\u{2620} decide".to_owned(),
        ..SendRequest::default()
    };
    let said = heard.call(R::MachineDefect, node.customers.send(unwell).await);
    assert_eq!(said["conversation"], id);

    plant(&dev, Planted::OthersBuckets);
    heard.call(R::BucketElsewhere, open(&mut node).await);
    plant(&dev, Planted::NoPlan);
    let said = heard.call(R::PlanBehind, open(&mut node).await);
    assert_eq!(said["version"], "0");
    plant(&dev, Planted::Full);
    let said = heard.call(R::CellFull, open(&mut node).await);
    assert_eq!(said["limit"], "2000000");
    dev.shutdown().await;
    heard
}

fn plant(dev: &Dev, planted: Planted) {
    for at in 0..3 {
        cell(dev, at).view.plant(planted);
    }
}

async fn open(node: &mut Stubs) -> Result<Response<OpenResponse>, Status> {
    let request = OpenRequest {
        request_id: node.id(),
        ..opening("bob")
    };
    node.customers.open(request).await
}
