//! The page of metrics of this node's own port for whoever looks after it, if it has one.
//! Promise: bounded in bytes and time; without the port, or without an answer, there is no page.
//! Not here: what is on the page.

use std::time::Duration;

use runtime::Network;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// The key that says where the port is.
const KEY: &str = "listen.admin";
/// The page of a node with hundreds of queues is a few hundred KiB.
const PAGE_BYTES_MAX: u64 = 2 * 1_024 * 1_024;
/// It is made from state in memory.
const PAGE_WAIT: Duration = Duration::from_secs(2);
/// The older protocol ends the answer by ending the connection, so that nothing has to be taken apart.
const ASK: &[u8] = b"GET /metrics HTTP/1.0\r\n\r\n";

/// The address of the port, by the values of a configuration as TOML.
pub(super) fn address(values: &[(String, String, crate::config::Origin)]) -> Option<&str> {
    let (_, value, _) = values.iter().find(|(key, _, _)| key == KEY)?;
    let address = value.trim_matches('"');
    (!address.is_empty()).then_some(address)
}

/// The page at an address.
pub(super) async fn metrics(network: &dyn Network, address: &str) -> Option<Vec<u8>> {
    timeout(PAGE_WAIT, read(network, address))
        .await
        .ok()?
        .ok()?
}

async fn read(network: &dyn Network, address: &str) -> std::io::Result<Option<Vec<u8>>> {
    let mut connection = network.dial(address).await?;
    connection.write_all(ASK).await?;
    let mut answer = Vec::new();
    connection
        .take(PAGE_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(body(&answer))
}

/// What follows the head of an answer that is the page.
fn body(answer: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let status = answer.split(|byte| *byte == b' ').nth(1)?;
    let at = answer.windows(END.len()).position(|window| window == END)?;
    (status == b"200").then(|| answer[at + END.len()..].to_vec())
}

#[cfg(test)]
mod tests {
    use runtime::memory;

    use super::*;
    use crate::config::{Config, Layered};

    #[test]
    fn the_page_is_what_follows_the_head_of_a_good_answer() {
        let page = body(b"HTTP/1.0 200 OK\r\na: b\r\n\r\nup 1\n").unwrap();
        assert_eq!(page, b"up 1\n");
        assert_eq!(body(b"HTTP/1.0 404 Not Found\r\n\r\nno"), None);
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(body(b""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_says_nothing_and_one_that_is_not_there_give_no_page() {
        let env = memory::env(1);
        let listener = env
            .network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(metrics(&*env.network, &address).await, None);
        assert_eq!(metrics(&*env.network, "127.0.0.1:1").await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_page_is_asked_for_and_read_to_its_end() {
        let env = memory::env(1);
        let mut listener = env
            .network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; ASK.len()];
            connection.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, ASK);
            let answer = b"HTTP/1.0 200 OK\r\n\r\nup 1\n";
            connection.write_all(answer).await.unwrap();
            connection.shutdown().await.unwrap();
        };
        let (page, ()) = tokio::join!(metrics(&*env.network, &address), serving);
        assert_eq!(page.as_deref(), Some(&b"up 1\n"[..]));
    }

    #[test]
    fn a_node_without_the_port_has_no_address() {
        let values = Layered::of_program(Config::default()).values();
        let without: Vec<_> = values
            .into_iter()
            .filter(|(key, _, _)| key != KEY)
            .collect();
        assert_eq!(address(&without), None);
        let with = |value: &str| {
            let mut values = without.clone();
            values.push((
                KEY.to_owned(),
                value.to_owned(),
                crate::config::Origin::Default,
            ));
            address(&values).map(str::to_owned)
        };
        assert_eq!(
            with("\"127.0.0.1:7402\""),
            Some("127.0.0.1:7402".to_owned())
        );
        assert_eq!(with("\"\""), None);
    }
}
