//! A client that retries.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use tonic::Status;

use crate::Clients;

/// Sends a request to one member after the other until one responds. A request may take effect more than once.
#[derive(Clone, Debug)]
pub struct Retrying {
    members: Vec<Clients>,
    next: usize,
    within: Duration,
}

impl Retrying {
    /// A client of the members at these URLs. It leaves a member without a response after `patience`, and gives up
    /// after `within`.
    pub fn new(urls: &[String], patience: Duration, within: Duration) -> Self {
        let members = urls.iter().map(|url| Clients::lazy(url, patience)).collect();
        Self { members, next: 0, within }
    }

    /// Clients of the current member.
    fn member(&self) -> Clients {
        self.members[self.next].clone()
    }

    /// Goes on to the next member, unless it is time to give up.
    async fn failed(&mut self, begun: Instant, status: Status) -> Result<(), Status> {
        if begun.elapsed() >= self.within {
            return Err(status);
        }
        self.next = (self.next + 1) % self.members.len();
        // A round in which no member can be reached takes no time at all.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }

    /// Puts a value and returns its revision.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<i64, Status> {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        let put = pb::PutRequest { key, value, ..Default::default() };
        let begun = Instant::now();
        loop {
            match self.member().kv.put(put.clone()).await {
                Ok(response) => {
                    return Ok(response.into_inner().header.expect("every response has a header").revision);
                }
                Err(status) => self.failed(begun, status).await?,
            }
        }
    }

    /// Reads a value, linearizably.
    pub async fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Status> {
        let range = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        let begun = Instant::now();
        loop {
            match self.member().kv.range(range.clone()).await {
                Ok(response) => {
                    let row = response.into_inner().kvs.into_iter().next();
                    return Ok(row.map(|row| row.decode().expect("a row can be decoded").value.to_vec()));
                }
                Err(status) => self.failed(begun, status).await?,
            }
        }
    }
}
