//! A client, and its retries.

use crate::exchange::exchange;
use crate::{Channel, Config, Error, Rpc};

/// A client of a cluster. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client that connects when it is used.
    ///
    /// # Errors
    ///
    /// When there is no endpoint, one is malformed, or one is encrypted and there is no TLS.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { channel: Channel::new(config)? })
    }

    /// Connects, and authenticates the user if there is one.
    ///
    /// # Errors
    ///
    /// When no endpoint can be reached, or the user is rejected.
    pub async fn connect(&self) -> Result<(), Error> {
        self.channel.connection().await.map(drop)
    }

    /// Has the next request make a new connection, to the first endpoint that can be reached, and authenticate the user
    /// again. Calls under way end on the old one.
    pub fn disconnect(&self) {
        self.channel.disconnect();
    }

    /// The connection, for a generated client.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Sends a request and waits for the response.
    ///
    /// # Errors
    ///
    /// When no endpoint can be reached, the connection breaks, the time is over or the server rejects the request.
    pub async fn call<R: Rpc>(&self, request: R) -> Result<R::Response, Error> {
        let config = self.channel.config();
        let mut n_more = if config.retry_reads && R::IS_READ { config.endpoints.len() - 1 } else { 0 };
        loop {
            let (connection, dial) = self.channel.connection().await?;
            let outcome = exchange(connection, request.clone(), config).await;
            match &outcome {
                Err(error) if error.is_of_member() && n_more > 0 => self.channel.leave(&dial),
                Err(error) if error.is_of_connection() => {
                    self.channel.give_up(&dial);
                    return outcome;
                }
                _ => return outcome,
            }
            n_more -= 1;
        }
    }
}
