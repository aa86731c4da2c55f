//! Several members under the interface of one server.

use std::io;
use std::path::Path;

use super::{Members, Setup};
use crate::{Cluster, Kind, Missing, Options, Program, StartError};

/// `N` members of the program `P`. Suites for one server run on them; those that look at
/// [`endpoints`](Cluster::endpoints) use all.
#[derive(Debug)]
pub struct Together<P: Program, const N: usize>(Members<P>);

impl<P: Program, const N: usize> Cluster for Together<P, N> {
    const KIND: Kind = P::KIND;

    fn available() -> Result<(), Missing> {
        P::locate().map(drop)
    }

    async fn start(options: &Options) -> Result<Self, StartError> {
        Ok(Self(Members::start(&Setup::of(N).with(&options.flags)).await))
    }

    fn endpoint(&self) -> String {
        self.0.client_url(0)
    }

    fn endpoints(&self) -> Vec<String> {
        (0..N).map(|number| self.0.client_url(number)).collect()
    }

    /// That of the first member.
    fn data_dir(&self) -> &Path {
        self.0.data_dir(0)
    }

    fn logs(&self) -> String {
        (0..N).map(|number| self.0.logs(number)).collect()
    }

    async fn stop(&mut self) -> io::Result<()> {
        for number in 0..N {
            self.0.terminate(number);
        }
        for number in 0..N {
            self.0.exited(number).await;
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), StartError> {
        for number in 0..N {
            self.0.spawn(number);
        }
        for number in 0..N {
            self.0.ready(number).await;
        }
        Ok(())
    }
}
