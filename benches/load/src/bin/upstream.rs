//! The platform, reduced to what makes every answer earned: it checks signature, time and both ciphertexts of each
//! question, and answers with so many bytes. One thread, so that it leaves the other core alone.
//!
//! On a second port it tells what became of the questions so far, as JSON.

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use aimis_bench::job::{API, APP_ID, Job};
use aimis_bench::question::{is_id, is_phone};
use aimis_bench::{answer, clock, wire};
use clap::Parser;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How far a timestamp may be off, in milliseconds.
const SKEW_MS: u64 = 60_000;

#[derive(Parser)]
struct Arguments {
    /// Where to listen, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where to tell what became of the questions, on 127.0.0.1.
    #[arg(long)]
    control: u16,
    /// Bytes of an answer's body.
    #[arg(long, default_value_t = 4096)]
    answer: usize,
    /// A directory with cert.pem and key.pem: TLS is spoken.
    #[arg(long)]
    tls: Option<PathBuf>,
}

struct Platform {
    job: Job,
    /// A whole success, head and body.
    success: Vec<u8>,
    answered: Cell<u64>,
    refused: Cell<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let platform = Rc::new(Platform {
        job: Job::default(),
        success: response("200 OK", &answer::body(arguments.answer)),
        answered: Cell::new(0),
        refused: Cell::new(0),
    });
    let tls = arguments.tls.map(|directory| acceptor(&directory)).transpose()?;
    let questions = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let control = TcpListener::bind(("127.0.0.1", arguments.control)).await?;
    let connections = tokio::task::LocalSet::new();
    connections
        .run_until(async {
            tokio::try_join!(
                platform.clone().accept(&questions, tls),
                platform.clone().accept(&control, None)
            )
        })
        .await?;
    Ok(())
}

/// TLS 1.3 only: that is what is compared.
fn acceptor(directory: &std::path::Path) -> anyhow::Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Platform {
    async fn accept(self: Rc<Self>, listener: &TcpListener, tls: Option<TlsAcceptor>) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (platform, tls) = (self.clone(), tls.clone());
            tokio::task::spawn_local(async move {
                // A connection that breaks shows at its other end.
                let _ = match tls {
                    None => platform.serve(stream).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => platform.serve(stream).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(16 << 10);
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            while let Some(message) = wire::message(&buffer).map_err(io::Error::other)? {
                if message.head.starts_with(b"GET ") {
                    stream.write_all(&self.counts()).await?;
                } else if self.is_sound(&message) {
                    self.answered.set(self.answered.get() + 1);
                    stream.write_all(&self.success).await?;
                } else {
                    self.refused.set(self.refused.get() + 1);
                    stream
                        .write_all(&response("200 OK", br#"{"code":90002,"message":"refused"}"#))
                        .await?;
                }
                stream.flush().await?;
                let length = message.length;
                buffer.drain(..length);
            }
        }
    }

    fn is_sound(&self, message: &wire::Message<'_>) -> bool {
        let rest = message.head.strip_prefix(b"POST ").unwrap_or_default();
        let rest = rest.strip_prefix(API.as_bytes()).unwrap_or_default();
        let app_id = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
        let asked = app_id.len() == APP_ID.len() && app_id.iter().all(u8::is_ascii_digit);
        let header = |name| wire::header(message.head, name).unwrap_or_default();
        let timestamp = header("timestamp");
        let time: Option<u64> = std::str::from_utf8(timestamp).ok().and_then(|text| text.parse().ok());
        let field = |name| wire::text(message.body, name).map_or(&b""[..], |range| &message.body[range]);
        asked
            && header("appid") == app_id
            && time.is_some_and(|time| time.abs_diff(clock::unix_ms()) <= SKEW_MS)
            && header("signature") == self.signature(app_id, timestamp)
            && self.job.opens(field("\"phoneNum\""), is_phone)
            && self.job.opens(field("\"idNum\""), is_id)
    }

    /// As a rule there is one tenant, with whose name the hash is begun.
    fn signature(&self, app_id: &[u8], timestamp: &[u8]) -> [u8; 64] {
        if app_id == APP_ID.as_bytes() {
            self.job.sign(timestamp)
        } else {
            self.job.sign_as(app_id, timestamp)
        }
    }

    fn counts(&self) -> Vec<u8> {
        let counts = serde_json::json!({"answered": self.answered.get(), "refused": self.refused.get()});
        response("200 OK", counts.to_string().as_bytes())
    }
}

fn response(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: bench\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
