//! Who of several watches a chat: everybody computes the same, and a change of accounts moves few
//! chats.
//!
//! Each account has a number for each chat, and the highest one counts (Thaler and Ravishankar's
//! highest random weight). Where an account goes, its chats alone move, spread over all others;
//! where one comes, it takes its share alone, one n-th of all.

use sha2::{Digest as _, Sha256};

/// The accounts, first who comes first.
#[must_use]
pub fn ranked<'a>(chat_id: i64, accounts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<_> = accounts
        .into_iter()
        .map(|account| (weight(chat_id, account), account))
        .collect();
    // By name where two numbers meet.
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.dedup();
    ranked.into_iter().map(|(_, account)| account).collect()
}

/// The same on every machine and in every version: it is part of what pods agree on.
fn weight(chat_id: i64, account: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(chat_id.to_be_bytes())
        .chain_update(account.as_bytes())
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATS: i64 = 10_000;

    fn first(chat: i64, accounts: &[String]) -> String {
        ranked(chat, accounts.iter().map(String::as_str))[0].to_owned()
    }

    #[test]
    fn a_change_of_accounts_moves_one_nth() {
        let accounts: Vec<String> = (1..=8).map(|n| format!("sim-{n}")).collect();
        for n in 2..=8 {
            let (before, after) = (&accounts[..n - 1], &accounts[..n]);
            let mut moved = 0_i64;
            for chat in 0..CHATS {
                let chat = -1_000_000_000_000 - chat;
                let (old, new) = (first(chat, before), first(chat, after));
                if old != new {
                    assert_eq!(new, accounts[n - 1], "only the new one takes");
                    moved += 1;
                }
            }
            // Five standard deviations.
            let share = CHATS as f64 / n as f64;
            assert!(
                (moved as f64 - share).abs() < 5.0 * share.sqrt(),
                "{moved} of {CHATS} at {n}"
            );
        }
    }

    #[test]
    fn the_order_of_the_accounts_does_not_matter() {
        assert_eq!(ranked(-7, ["a", "b", "c"]), ranked(-7, ["c", "a", "b", "a"]));
        assert_eq!(ranked(-7, []), Vec::<&str>::new());
        // Known for good: pods of two versions agree.
        assert_eq!(ranked(-1_001_000_000_005, ["sim-1", "sim-2", "sim-3"]).len(), 3);
    }
}
