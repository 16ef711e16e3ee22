//! The copy to a syslog server, by each of its ways.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::bed::Bed;
use crate::support::client::PATIENCE;

/// What a message of RFC 5424 carries: everything in front of it has to be as it says.
#[track_caller]
fn carried(message: &str) -> &str {
    let mut parts = message.splitn(8, ' ');
    let mut next = || parts.next().unwrap_or_else(|| panic!("{message}"));
    let (version, time, host) = (next(), next(), next());
    assert_eq!(version, "<110>1");
    assert!(time.len() == 24 && time.ends_with('Z') && !host.is_empty(), "{message}");
    assert_eq!(next(), "aimis-gateway");
    assert!(next().parse::<u32>().is_ok(), "{message}");
    assert_eq!((next(), next()), ("audit", "-"));
    next()
}

async fn look_up_and_stop(bed: &Bed, server: &str) {
    let gateway = bed.settings().with("audit", &format!("syslog = \"{server}\"")).start();
    for _ in 0..3 {
        assert_eq!(gateway.studies().await.status, 200);
    }
    tokio::task::spawn_blocking(|| gateway.stop()).await.unwrap();
}

/// The messages are the lines of the file, in their order.
#[track_caller]
fn assert_the_files_lines(bed: &Bed, messages: &[String]) {
    let text = std::fs::read_to_string(&bed.files("gateway")[0]).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let carried: Vec<_> = messages.iter().map(|message| carried(message)).collect();
    assert_eq!(carried, lines);
}

#[tokio::test]
async fn a_datagram_server_gets_each_line() {
    let bed = Bed::new().await;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    look_up_and_stop(&bed, &format!("udp://{}", server.local_addr().unwrap())).await;
    let mut room = [0; 8192];
    let mut next = || {
        let length = server.recv(&mut room).unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    };
    // A first line, a start, three look-ups, a stop.
    let messages: Vec<_> = (0..6).map(|_| next()).collect();
    assert_the_files_lines(&bed, &messages);
}

#[tokio::test]
async fn a_unix_socket_gets_each_line() {
    let bed = Bed::new().await;
    let path = bed.directory.path().join("log.sock");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    look_up_and_stop(&bed, &format!("unix:{}", path.display())).await;
    let mut room = [0; 8192];
    let mut next = || {
        let length = server.recv(&mut room).unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    };
    let messages: Vec<_> = (0..6).map(|_| next()).collect();
    assert_the_files_lines(&bed, &messages);
}

#[tokio::test]
async fn a_connection_gets_each_line_behind_its_length() {
    let bed = Bed::new().await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", server.local_addr().unwrap());
    let reading = tokio::spawn(async move {
        let mut messages = Vec::new();
        while messages.len() < 6 {
            let (mut stream, _) = server.accept().await.unwrap();
            loop {
                let mut length = 0_usize;
                let ended = loop {
                    match stream.read_u8().await {
                        Ok(b' ') => break false,
                        Ok(digit) => length = length * 10 + usize::from(digit - b'0'),
                        Err(_) => break true,
                    }
                };
                if ended {
                    break;
                }
                let mut message = vec![0; length];
                stream.read_exact(&mut message).await.unwrap();
                messages.push(String::from_utf8(message).unwrap());
            }
        }
        messages
    });
    look_up_and_stop(&bed, &address).await;
    let messages = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_the_files_lines(&bed, &messages);
}

#[tokio::test]
async fn a_server_that_is_gone_holds_nothing_up_and_is_told() {
    let bed = Bed::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = bed.settings().with("audit", &format!("syslog = \"tcp://{gone}\""));
    let gateway = settings.start();
    assert_eq!(gateway.studies().await.status, 200);
    while !gateway.log.text().contains("\"audit_export_failing\"") {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(|| gateway.stop()).await.unwrap();
    assert_eq!(bed.records().len(), 1);
    bed.assert_sound();
}
