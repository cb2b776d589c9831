//! Accounts: on which channel account a customer of a language writes in, by the floor plan.
//! Promise: an account whose queue asks for the language if there is one, else the first of the plan.
//! Not here: which queue the conversation enters: the plan's intake table decides that.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

/// The accounts of a plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Names with the languages that their own queues ask for.
    accounts: Vec<(String, BTreeSet<String>)>,
}

impl Accounts {
    /// Of the plan's text.
    pub fn of_plan(text: &str) -> anyhow::Result<Self> {
        let plan: toml::Table = text.parse().context("the floor plan is not TOML")?;
        let mut accounts = Vec::new();
        for (name, account) in table(&plan, "account") {
            let queue = account.get("queue").and_then(toml::Value::as_str);
            accounts.push((name.clone(), languages(&plan, queue.unwrap_or_default())));
        }
        if accounts.is_empty() {
            bail!("the floor plan has no channel account on which customers could write in");
        }
        Ok(Self { accounts })
    }

    /// The account for customers of `language`.
    pub fn of(&self, language: &str) -> &str {
        let fits = self
            .accounts
            .iter()
            .find(|(_, known)| known.contains(language));
        let chosen = fits.or_else(|| self.accounts.first());
        chosen.map_or("", |(name, _)| name)
    }
}

/// Entries of a table of tables.
fn table<'a>(
    plan: &'a toml::Table,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a toml::Table)> {
    let entries = plan.get(name).and_then(toml::Value::as_table);
    let entries = entries.into_iter().flatten();
    entries.filter_map(|(name, value)| value.as_table().map(|value| (name, value)))
}

/// The languages that a queue asks for.
fn languages(plan: &toml::Table, queue: &str) -> BTreeSet<String> {
    let found = table(plan, "queue").find(|(name, _)| *name == queue);
    let asked = found.and_then(|(_, queue)| queue.get("languages")?.as_table());
    asked
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        [account.web-eu]
        queue = "orders-en"
        [account.web-cn]
        queue = "orders-zh"
        [queue.orders-en]
        languages = { en = 3 }
        [queue.orders-zh]
        languages = { zh = 3 }
    "#;

    #[test]
    fn the_account_follows_the_language_of_its_queue() {
        let accounts = Accounts::of_plan(PLAN).unwrap();
        assert_eq!(accounts.of("zh"), "web-cn");
        assert_eq!(accounts.of("en"), "web-eu");
        assert_eq!(accounts.of("fi"), "web-cn");
    }

    #[test]
    fn a_plan_without_accounts_is_refused() {
        assert!(Accounts::of_plan("[queue.a]").is_err());
    }
}
