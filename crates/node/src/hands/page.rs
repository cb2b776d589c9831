//! The page of metrics of this node's own port for whoever looks after it, if it has one.
//! Promise: bounded in bytes and time; without the port, or without an answer, there is no page.
//! Not here: what is on the page.

use std::time::Duration;

use runtime::Network;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// With its head. The page of a node with hundreds of queues is a few hundred KiB.
const PAGE_BYTES_MAX: u64 = 2 * 1_024 * 1_024;
/// It is made from state in memory.
const PAGE_WAIT: Duration = Duration::from_secs(2);
/// The older protocol ends the answer by ending the connection, so that nothing has to be taken apart.
const ASK: &[u8] = b"GET /metrics HTTP/1.0\r\n\r\n";

/// The page at an address, or why there is none. Half a page is none: its numbers would pass for all of them.
pub(super) async fn metrics(network: &dyn Network, address: &str) -> Result<Vec<u8>, String> {
    match timeout(PAGE_WAIT, read(network, address)).await {
        Ok(Ok(answer)) if answer.len() as u64 > PAGE_BYTES_MAX => {
            Err(format!("the page is longer than {PAGE_BYTES_MAX} bytes"))
        }
        Ok(Ok(answer)) => body(&answer).ok_or_else(|| "the port gave no page".to_owned()),
        Ok(Err(error)) => Err(format!("the port {address} cannot be read: {error}")),
        Err(_) => Err(format!(
            "the port {address} did not answer within {PAGE_WAIT:?}"
        )),
    }
}

/// What the port answers, and one byte more than a page may have where it goes on.
async fn read(network: &dyn Network, address: &str) -> std::io::Result<Vec<u8>> {
    let mut connection = network.dial(address).await?;
    connection.write_all(ASK).await?;
    // A connection gathers small writes until it is told that this was all.
    connection.flush().await?;
    let mut answer = Vec::new();
    connection
        .take(PAGE_BYTES_MAX + 1)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
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
        let silent = metrics(&*env.network, &address).await.unwrap_err();
        assert!(silent.contains("did not answer within 2s"), "{silent}");
        let nobody = metrics(&*env.network, "127.0.0.1:1").await.unwrap_err();
        assert!(nobody.contains("cannot be read"), "{nobody}");
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
        assert_eq!(page.unwrap(), b"up 1\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_cut_is_no_page() {
        let env = memory::env(1);
        let mut listener = env
            .network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let head = b"HTTP/1.0 200 OK\r\n\r\n";
        for (more, is_page) in [(0, true), (1, false)] {
            let rows = usize::try_from(PAGE_BYTES_MAX).unwrap() - head.len() + more;
            let serving = async {
                let (mut connection, _) = listener.accept().await.unwrap();
                connection.write_all(head).await.unwrap();
                // Whoever has read enough hangs up.
                let _ = connection.write_all(&vec![b'x'; rows]).await;
                let _ = connection.shutdown().await;
            };
            let (page, ()) = tokio::join!(metrics(&*env.network, &address), serving);
            assert_eq!(page.is_ok(), is_page, "{rows} bytes");
        }
    }
}
