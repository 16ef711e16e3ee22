//! One question over one connection, and what came of it.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{Carrier, Connection, Inner};
use crate::telemetry::metrics::Metrics;
use crate::upstream::error::{AttemptError, Head, UpstreamError};
use crate::upstream::multiplexed::{self, Lease};
use crate::upstream::reply::{self, Reply};

/// What came of a question: an answer, one that cannot be relayed, or the connection's failure.
type Came = Result<Result<Reply, (UpstreamError, Head)>, UpstreamError>;

impl Inner {
    pub(super) async fn exchange(
        &self,
        signed: Request<Full<Bytes>>,
        way: usize,
        fresh: bool,
    ) -> Result<Reply, AttemptError> {
        let (carrier, reused) = self
            .checkout(way, fresh)
            .await
            .map_err(|error| AttemptError::new(error, false))?;
        let came = match carrier {
            Carrier::Alone(connection) => self.ask_alone(connection, signed).await,
            Carrier::Shared(lease) => match self.ask_beside(&lease, signed).await {
                Err(error) if multiplexed::is_unprocessed(&error) => return Err(AttemptError::unprocessed()),
                Err(error) => Err(reply::classify(&error, false)),
                Ok(came) => came,
            },
        };
        match came {
            Ok(reply) => reply.map_err(|(error, head)| AttemptError {
                head: Some(head),
                ..AttemptError::new(error, reused)
            }),
            Err(error) => Err(AttemptError::new(error, reused)),
        }
    }

    /// One question over a connection of its own, which is kept if nothing is left on it.
    async fn ask_alone(&self, mut connection: Connection, signed: Request<Full<Bytes>>) -> Came {
        let active = Active::new(&self.metrics);
        let came = async {
            connection.wire.asked();
            let asked = self.clock.moment();
            let response = connection.sender.send_request(signed).await.map_err(|error| {
                let flooded = connection.wire.flooded();
                if flooded {
                    UpstreamError::NotHttp
                } else {
                    reply::classify(&error, false)
                }
            })?;
            connection.wire.answering();
            reply::read(response, (asked, self.clock.moment()), self.limits.body).await
        }
        .await;
        drop(active);
        match came {
            Ok((reply, whole)) => {
                if whole {
                    self.give_back(connection);
                }
                Ok(reply)
            }
            Err(error) => {
                self.settle(&connection);
                Err(error)
            }
        }
    }

    /// One question among others on an HTTP/2 connection. A stream that is given up is reset; the others go on.
    /// The outer error is that of a question without an answer's head.
    async fn ask_beside(&self, lease: &Lease, signed: Request<Full<Bytes>>) -> Result<Came, hyper::Error> {
        let asked = self.clock.moment();
        let response = lease.sender().send_request(multiplexed::in_its_form(signed)).await?;
        let read = reply::read(response, (asked, self.clock.moment()), self.limits.body).await;
        Ok(read.map(|(reply, _whole)| reply))
    }
}

/// Counts a connection as active for as long as an exchange runs, whichever way it ends.
struct Active<'a>(&'a Metrics);

impl<'a> Active<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.connections_active.inc();
        Self(metrics)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.connections_active.dec();
    }
}
