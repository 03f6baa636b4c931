//! Each error's hint and its row of the runbook, followed to the letter, end in a good lake.
//!
//! A case provokes an error, holds what is done about it against the words of the hint and of the runbook, does it, and looks at
//! the lake. Each code of the source has a case, or a reason why no test can follow its advice.

mod commands;
mod lake;
mod snapshot;
mod unfollowed;

use std::collections::BTreeSet;

#[test]
fn each_code_has_a_remedy_that_works_or_a_reason_why_none_can_be_followed() {
    let followed: BTreeSet<String> =
        [snapshot::codes(), lake::codes(), commands::codes()].concat().into_iter().map(str::to_owned).collect();
    let unfollowed: BTreeSet<String> = unfollowed::codes().into_iter().map(str::to_owned).collect();
    let both: Vec<_> = followed.intersection(&unfollowed).collect();
    assert!(both.is_empty(), "followed, and said not to be: {both:?}");
    let known: BTreeSet<String> = followed.union(&unfollowed).cloned().collect();
    let codes = crate::runbook::codes();
    let new: Vec<_> = codes.difference(&known).collect();
    let stale: Vec<_> = known.difference(&codes).collect();
    assert!(new.is_empty() && stale.is_empty(), "codes without a remedy: {new:?}; of no code: {stale:?}");
}
