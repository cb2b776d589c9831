//! Loading without copies: names and texts of a conversation that the state holds elsewhere too.
//! Promise: nothing changes but where equal text is kept; a restored cell is as small as the one that
//! was never stopped.
//! Not here: sharing while conversations are made (`decide::intake`).

use std::sync::Arc;

use super::conversation::Conversation;
use super::state::{CustomerAt, State};
use crate::ids::AgentId;
use crate::plan::FloorPlan;

impl State {
    /// Lets a conversation that was read share what plan, agents and customer's entry hold: these come
    /// before conversations in a snapshot.
    pub(crate) fn share(&self, conversation: &mut Conversation) {
        let at = CustomerAt::new(&conversation.account, &conversation.customer);
        if let Some(entry) = self.customers.get(&at) {
            conversation.customer = entry.customer.clone();
        }
        if let Some(plan) = self.plan_at(conversation.pinned).or_else(|| self.plan()) {
            share_with_plan(conversation, plan);
        }
        let agent = |text: &Arc<str>| {
            let name = AgentId::of_text(text.clone());
            let (known, _) = self.agents.get_key_value(&name)?;
            Some(known.text().clone())
        };
        conversation.items.share(agent);
    }
}

fn share_with_plan(conversation: &mut Conversation, plan: &FloorPlan) {
    if conversation.tenant == plan.tenant {
        conversation.tenant = plan.tenant.clone();
    }
    if let Some((known, _)) = plan.accounts.get_key_value(&conversation.account) {
        conversation.account = known.clone();
    }
    if let Some((known, _)) = plan.channels.get_key_value(&conversation.channel) {
        conversation.channel = known.clone();
    }
    if let Some((known, _)) = plan.sites.get_key_value(&conversation.site) {
        conversation.site = known.clone();
    }
    if let Some(tag) = &mut conversation.language
        && let Some((known, _)) = plan.languages.get_key_value(tag)
    {
        *tag = known.clone();
    }
    let Some((known, queue)) = plan.queues.get_key_value(&conversation.queue) else {
        return;
    };
    conversation.queue = known.clone();
    let texts = [&queue.texts.greeting, &queue.texts.nobody_staffed];
    let notice = |text: &Arc<str>| texts.into_iter().find(|known| *known == text).cloned();
    conversation.items.share(notice);
}
