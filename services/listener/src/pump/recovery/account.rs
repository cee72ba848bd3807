//! The account's own difference: private chats and basic groups.

use grammers_tl_types::{enums, types};

use super::RETRY;
use crate::connection::CallError;
use crate::pump::{Life, jobs};
use crate::queue::Source;

impl Life<'_> {
    pub(super) fn on_account(&mut self, answer: Result<enums::updates::Difference, CallError>, now_us: i64) {
        if let Some(account) = &mut self.pump.account {
            account.pace.busy = false;
        }
        let difference = match answer {
            Ok(difference) => difference,
            Err(error) => return self.on_account_error(error),
        };
        self.pump.context.stats.differences.inc();
        if let Some(account) = &mut self.pump.account {
            account.pace.succeed();
        }
        let applied = match difference {
            enums::updates::Difference::Empty(_) => difference,
            enums::updates::Difference::Difference(mut found) => {
                let enums::updates::State::State(state) = &found.state;
                let content = (
                    std::mem::take(&mut found.new_messages),
                    std::mem::take(&mut found.other_updates),
                );
                self.learn(std::mem::take(&mut found.chats), std::mem::take(&mut found.users));
                self.account_content(content, state.pts, now_us);
                found.new_encrypted_messages.clear();
                enums::updates::Difference::Difference(found)
            }
            enums::updates::Difference::Slice(mut found) => {
                let enums::updates::State::State(state) = &found.intermediate_state;
                let content = (
                    std::mem::take(&mut found.new_messages),
                    std::mem::take(&mut found.other_updates),
                );
                self.learn(std::mem::take(&mut found.chats), std::mem::take(&mut found.users));
                self.account_content(content, state.pts, now_us);
                found.new_encrypted_messages.clear();
                enums::updates::Difference::Slice(found)
            }
            enums::updates::Difference::TooLong(found) => {
                tracing::warn!(account = %self.pump.context.account, pts = found.pts,
                    "the account's difference is too long: reading history");
                if let Some(account) = &mut self.pump.account {
                    account.too_long = Some(found.pts);
                }
                return;
            }
        };
        if let Some(account) = &mut self.pump.account {
            account.sequence.apply(applied);
        }
        self.tell_account();
    }

    /// Hands a difference's content on: new messages first, then what happened to older ones.
    fn account_content(
        &mut self,
        (messages, updates): (Vec<enums::Message>, Vec<enums::Update>),
        pts: i32,
        now_us: i64,
    ) {
        for message in messages {
            self.own_message(message, false, pts, Source::Difference, now_us);
        }
        for update in updates {
            match self.channel_update(update, now_us) {
                Some(enums::Update::EditMessage(u)) => {
                    self.own_message(u.message, true, u.pts, Source::Difference, now_us);
                }
                Some(enums::Update::NewMessage(u)) => {
                    self.own_message(u.message, false, u.pts, Source::Difference, now_us);
                }
                Some(enums::Update::DeleteMessages(u)) => self.own_deletion(u.messages, now_us),
                _ => {}
            }
        }
    }

    fn on_account_error(&mut self, error: CallError) {
        let Some(error) = self.survive(error) else { return };
        let Some(account) = &mut self.pump.account else { return };
        match error {
            CallError::Flood(wait) => account.pace.wait(wait),
            CallError::Timeout => account.pace.fail(RETRY),
            error => {
                tracing::warn!(account = %self.pump.context.account, %error, "couldn't fetch the account's difference");
                account.pace.fail(RETRY);
                if error.is("PERSISTENT_TIMESTAMP_*") || error.is_unreadable() {
                    // A place that the server does not know, or an answer that cannot be read: the
                    // server's own place, and history up to there.
                    account.is_lost = true;
                    let (calls, events) = self.handles();
                    self.jobs.spawn(jobs::state(calls, events, jobs::Event::State));
                }
            }
        }
    }

    pub(super) fn on_account_history(&mut self, result: Result<u64, CallError>) {
        let Some(account) = &mut self.pump.account else { return };
        account.pace.busy = false;
        match result {
            Ok(_) => {
                if let Some(pts) = account.too_long.take() {
                    account.pace.succeed();
                    account.sequence.apply(types::updates::DifferenceTooLong { pts }.into());
                    account.pace.due = true;
                }
                self.tell_account();
            }
            Err(error) => {
                let Some(error) = self.survive(error) else { return };
                let Some(account) = &mut self.pump.account else { return };
                match error {
                    CallError::Flood(wait) => account.pace.wait(wait),
                    // What is missing is asked for by its ids: that finds the one that cannot be read.
                    error if error.is_unreadable() => {
                        tracing::warn!(account = %self.pump.context.account, %error, "couldn't read history");
                        if let Some(pts) = account.too_long.take() {
                            account.sequence.apply(types::updates::DifferenceTooLong { pts }.into());
                        }
                        self.tell_account();
                    }
                    error => {
                        tracing::warn!(account = %self.pump.context.account, %error, "couldn't read history");
                        account.pace.fail(RETRY);
                    }
                }
            }
        }
    }
}
