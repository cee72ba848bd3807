//! One client session: numbers of messages, salts, and the service messages that are not RPC.

use std::time::Duration;

use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, functions, types};

use super::envelope::{Message, Packet, constructor};
use super::outbox::Outbox;
use crate::world::Identity;

/// A salt is good for its hour and the hours beside it.
const SALT_S: i64 = 3_600;
/// How far a client's clock may be off, in seconds: the protocol's own limits.
const MAX_LATE_S: i64 = 300;
const MAX_EARLY_S: i64 = 30;
const MAX_SALTS: i32 = 64;

/// The code of `bad_server_salt`.
pub(crate) const BAD_SALT: i32 = 48;

const HTTP_WAIT: u32 = 0x9299_359f;
const RPC_RESULT: u32 = 0xf35c_6d01;

/// What the session makes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Dealt with: answered, or nothing to answer.
    Done,
    /// A request for the RPC layer.
    Request { id: i64, body: Vec<u8> },
}

/// The protocol state of a connection on the client's side of things.
pub(crate) struct Session {
    identity: Identity,
    key_id: [u8; 8],
    id: Option<i64>,
    /// The connection closes when it has not heard another ping by then.
    pub(crate) disconnect_after: Option<Duration>,
}

impl Session {
    pub(crate) fn new(identity: Identity, key_id: [u8; 8]) -> Self {
        Self {
            identity,
            key_id,
            id: None,
            disconnect_after: None,
        }
    }

    fn salt(&self, now_s: i64) -> i64 {
        self.identity.salt(self.key_id, now_s / SALT_S)
    }

    fn is_salt(&self, salt: i64, now_s: i64) -> bool {
        let hour = now_s / SALT_S;
        (hour - 1..=hour + 1).any(|hour| self.identity.salt(self.key_id, hour) == salt)
    }

    /// Checks a packet's salt and clock and greets a new session. False when the packet was
    /// refused; the reason is on its way to the client. With `fault` it is refused with that code.
    pub(crate) fn admit(&mut self, packet: &Packet, now_s: i64, fault: Option<i32>, outbox: &Outbox) -> bool {
        let (bad_msg_id, bad_msg_seqno) = (packet.outer_id, packet.outer_seq_no);
        let refuse = |error_code| {
            let notice = types::BadMsgNotification {
                bad_msg_id,
                bad_msg_seqno,
                error_code,
            };
            outbox.send(enums::BadMsgNotification::Notification(notice).to_bytes(), false, true);
            false
        };
        if let Some(code) = fault.filter(|code| *code != BAD_SALT) {
            return refuse(code);
        }
        if packet.outer_id % 4 != 0 {
            return refuse(18);
        }
        let sent_s = packet.outer_id >> 32;
        if sent_s < now_s - MAX_LATE_S {
            return refuse(16);
        }
        if sent_s > now_s + MAX_EARLY_S {
            return refuse(17);
        }
        if fault.is_some() || !self.is_salt(packet.salt, now_s) {
            let notice = types::BadServerSalt {
                bad_msg_id,
                bad_msg_seqno,
                error_code: BAD_SALT,
                new_server_salt: self.salt(now_s),
            };
            outbox.send(enums::BadMsgNotification::BadServerSalt(notice).to_bytes(), false, true);
            return false;
        }
        if self.id != Some(packet.session_id) {
            self.id = Some(packet.session_id);
            let first_msg_id = packet
                .messages
                .iter()
                .map(|message| message.id)
                .min()
                .unwrap_or(packet.outer_id);
            let created = types::NewSessionCreated {
                first_msg_id,
                unique_id: self.identity.number("session", packet.session_id, first_msg_id),
                server_salt: self.salt(now_s),
            };
            outbox.send(enums::NewSession::Created(created).to_bytes(), true, false);
        }
        true
    }

    /// Answers service messages, and gives back what is a request.
    pub(crate) fn sort(&mut self, message: Message, now_s: i64, outbox: &Outbox) -> Verdict {
        let id = message.id;
        let Some(number) = constructor(&message.body) else {
            return Verdict::Done;
        };
        let arguments = &mut Cursor::from_slice(&message.body[4..]);
        match number {
            functions::Ping::CONSTRUCTOR_ID => {
                if let Ok(ping) = functions::Ping::deserialize(arguments) {
                    pong(outbox, id, ping.ping_id);
                }
            }
            functions::PingDelayDisconnect::CONSTRUCTOR_ID => {
                if let Ok(ping) = functions::PingDelayDisconnect::deserialize(arguments) {
                    let delay = u64::try_from(ping.disconnect_delay).unwrap_or(0);
                    self.disconnect_after = Some(Duration::from_secs(delay.clamp(1, 3_600)));
                    pong(outbox, id, ping.ping_id);
                }
            }
            functions::GetFutureSalts::CONSTRUCTOR_ID => {
                if let Ok(ask) = functions::GetFutureSalts::deserialize(arguments) {
                    self.future_salts(id, ask.num, now_s, outbox);
                }
            }
            functions::RpcDropAnswer::CONSTRUCTOR_ID => {
                outbox.send(
                    rpc_result(id, &enums::RpcDropAnswer::RpcAnswerUnknown.to_bytes()),
                    true,
                    true,
                );
            }
            functions::DestroySession::CONSTRUCTOR_ID => {
                if let Ok(ask) = functions::DestroySession::deserialize(arguments) {
                    let none = types::DestroySessionNone {
                        session_id: ask.session_id,
                    };
                    outbox.send(
                        enums::DestroySessionRes::DestroySessionNone(none).to_bytes(),
                        false,
                        true,
                    );
                }
            }
            types::MsgsStateReq::CONSTRUCTOR_ID => {
                if let Ok(ask) = types::MsgsStateReq::deserialize(arguments) {
                    let info = types::MsgsStateInfo {
                        req_msg_id: id,
                        // 4 = received.
                        info: vec![4; ask.msg_ids.len()],
                    };
                    outbox.send(enums::MsgsStateInfo::Info(info).to_bytes(), false, true);
                }
            }
            // What the client got, or asks again, is not kept: a lost answer is asked for anew,
            // a lost update is in the difference.
            types::MsgsAck::CONSTRUCTOR_ID
            | types::MsgsStateInfo::CONSTRUCTOR_ID
            | types::MsgsAllInfo::CONSTRUCTOR_ID
            | types::MsgResendReq::CONSTRUCTOR_ID
            | types::MsgDetailedInfo::CONSTRUCTOR_ID
            | types::MsgNewDetailedInfo::CONSTRUCTOR_ID
            | HTTP_WAIT => {}
            _ => {
                return Verdict::Request { id, body: message.body };
            }
        }
        Verdict::Done
    }

    fn future_salts(&self, req_msg_id: i64, num: i32, now_s: i64, outbox: &Outbox) {
        let hour = now_s / SALT_S;
        let salts = (0..i64::from(num.clamp(1, MAX_SALTS)))
            .map(|i| types::FutureSalt {
                valid_since: ((hour + i) * SALT_S) as i32,
                valid_until: ((hour + i + 2) * SALT_S) as i32,
                salt: self.identity.salt(self.key_id, hour + i),
            })
            .collect();
        let salts = types::FutureSalts {
            req_msg_id,
            now: now_s as i32,
            salts: grammers_tl_types::RawVec(salts),
        };
        outbox.send(enums::FutureSalts::Salts(salts).to_bytes(), false, true);
    }
}

/// Wraps the answer to request `id`.
pub(crate) fn rpc_result(id: i64, answer: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(12 + answer.len());
    RPC_RESULT.serialize(&mut body);
    id.serialize(&mut body);
    body.extend_from_slice(answer);
    body
}

fn pong(outbox: &Outbox, msg_id: i64, ping_id: i64) {
    let pong = types::Pong { msg_id, ping_id };
    outbox.send(enums::Pong::Pong(pong).to_bytes(), false, true);
}
