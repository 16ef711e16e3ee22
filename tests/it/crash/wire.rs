//! The way to a database, which can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of bytes on their way.
#[derive(Clone, Copy, PartialEq)]
pub enum Conduct {
    Through,
    /// They stop, and nobody is told.
    Silent,
    Closed,
}

/// The way to a server, which can be cut.
pub struct Wire {
    pub address: SocketAddr,
    conduct: watch::Sender<Conduct>,
}

impl Wire {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (conduct, seen) = watch::channel(Conduct::Through);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, port, seen.clone()));
            }
        });
        Self { address, conduct }
    }

    pub fn set(&self, conduct: Conduct) {
        self.conduct.send_replace(conduct);
    }
}

async fn carry(mut near: TcpStream, port: u16, mut conduct: watch::Receiver<Conduct>) {
    if *conduct.borrow_and_update() == Conduct::Through
        && let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await
    {
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = conduct.changed() => {}
        }
        if *conduct.borrow() == Conduct::Silent {
            // Both ends stay open and hear nothing, until it is through again; what was lost on the way stays lost.
            let _ = conduct.wait_for(|conduct| *conduct != Conduct::Silent).await;
        }
    } else if *conduct.borrow() == Conduct::Silent {
        let _ = conduct.wait_for(|conduct| *conduct != Conduct::Silent).await;
    }
}
