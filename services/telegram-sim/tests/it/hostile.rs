//! Bytes that no client sends.

use std::io::{Read, Write};
use std::net::TcpStream;

use grammers_client::tl::functions;
use proptest::prelude::*;
use tgmesh_telegram_sim::ChatKind;

use crate::client::{SOON, chat_of, connect, dial, draft, simulator};

/// Sends bytes and waits for the other side to close; true if it did in time.
fn is_closed_after(address: std::net::SocketAddr, bytes: &[u8]) -> bool {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    // It may close while it is still being written to.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_closes_its_own_connection_only() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let address = running.mtproto_addr;
    let mut key_id = [0; 8];
    key_id.copy_from_slice(&key_id_of(&running.sim.accounts()[0].auth_key));
    tokio::task::spawn_blocking(move || {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
        let noise = proptest::collection::vec(any::<u8>(), 0..400);
        runner
            .run(&(0..4_u8, noise), |(shape, noise)| {
                let bytes = match shape {
                    0 => noise,
                    1 => [&[0xef], &noise[..]].concat(),
                    2 => [&[0xee; 4], &(noise.len() as u32).to_le_bytes()[..], &noise].concat(),
                    // A whole frame for a real key, with noise where the ciphertext should be.
                    _ => {
                        let mut noise = noise;
                        noise.resize(16 + noise.len().next_multiple_of(16).max(32), 1);
                        let mut frame = vec![0xee; 4];
                        frame.extend(((noise.len() + 8) as u32).to_le_bytes());
                        frame.extend(key_id);
                        frame.extend(noise);
                        frame
                    }
                };
                prop_assert!(is_closed_after(address, &bytes));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
    running.sim.post(draft(&chat, "still here")).unwrap();
    telegram.next().await;
    telegram.client.invoke(&functions::help::GetNearestDc {}).await.unwrap();
    assert_eq!(running.sim.connections(), 1);
    running.stop().await;
}

/// An unknown key gets the transport error 404; grammers then tries to make a new key, which is
/// not played either.
#[tokio::test]
async fn an_unknown_key_is_refused() {
    let running = simulator(1, 2).await;
    let telegram = dial(running.mtproto_addr, [9; 256]).await;
    let answer = tokio::time::timeout(SOON, telegram.client.invoke(&functions::updates::GetState {})).await;
    assert!(answer.expect("an answer").is_err());
    assert_eq!(running.sim.connections(), 0);
    running.stop().await;
}

fn key_id_of(auth_key: &str) -> [u8; 8] {
    let bytes: Vec<u8> = (0..256)
        .map(|i| u8::from_str_radix(&auth_key[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    // What the client library itself puts first into a packet.
    let key = grammers_crypto::AuthKey::from_bytes(bytes.try_into().unwrap());
    let mut packet = grammers_crypto::DequeBuffer::with_capacity(64, 64);
    packet.extend([0; 32]);
    grammers_crypto::encrypt_data_v2(&mut packet, &key);
    packet.as_ref()[..8].try_into().unwrap()
}
