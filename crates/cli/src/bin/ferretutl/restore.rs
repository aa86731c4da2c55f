//! `ferretutl snapshot restore`.

use std::fs;
use std::path::PathBuf;

use ferretcd_data_dir::{Bootstrap, Paths, Restore, RestoreError};
use ferretcd_membership::{Url, UrlError, parse_initial_cluster};

use crate::{args, progress, say};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("--initial-cluster={text}: {source}")]
    InitialCluster { text: String, source: UrlError },
    #[error("--initial-advertise-peer-urls={text}: {source}")]
    PeerUrls { text: String, source: UrlError },
    #[error("--initial-advertise-peer-urls={urls} are not the URLs of {name} in --initial-cluster={cluster}")]
    Mismatch { urls: String, name: String, cluster: String },
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

pub(crate) fn run(args: &args::Restore) -> Result<(), Error> {
    let bootstrap = bootstrap(args)?;
    let data_dir = args.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{}.etcd", args.name)));
    let paths = Paths::new(&data_dir, args.wal_dir.as_deref());
    let restore = Restore {
        name: args.name.clone(),
        bootstrap,
        accepts_missing_hash: args.skip_hash_check,
        bump_revision: args.bump_revision,
    };
    let len = fs::metadata(&args.file).map_or(0, |file| file.len());
    let bar = progress::bar("restoring", len);
    let restored = restore.run(&args.file, &paths, |n_bytes| bar.set_position(n_bytes))?;
    bar.finish_and_clear();
    let raised = restored.revision.map(|revision| format!(", and its revision raised to {revision}"));
    say(&format_args!(
        "{} restored to {}{}",
        args.file.display(),
        data_dir.display(),
        raised.unwrap_or_default()
    ));
    Ok(())
}

fn bootstrap(args: &args::Restore) -> Result<Bootstrap, Error> {
    let text = &args.initial_cluster;
    let parsed = parse_initial_cluster(text);
    let cluster = parsed.map_err(|source| Error::InitialCluster { text: text.clone(), source })?;
    let urls = args.initial_advertise_peer_urls.split(',').map(Url::parse).collect::<Result<Vec<_>, _>>();
    let text = &args.initial_advertise_peer_urls;
    let mut urls = urls.map_err(|source| Error::PeerUrls { text: text.clone(), source })?;
    urls.sort();
    // A name that is not in the cluster has a message of its own.
    if cluster.get(&args.name).is_some_and(|listed| *listed != urls) {
        let (name, cluster) = (args.name.clone(), args.initial_cluster.clone());
        return Err(Error::Mismatch { urls: text.clone(), name, cluster });
    }
    let texts = |urls: Vec<Url>| urls.iter().map(ToString::to_string).collect();
    let initial_cluster = cluster.into_iter().map(|(name, urls)| (name, texts(urls))).collect();
    Ok(Bootstrap::New { initial_cluster, token: args.initial_cluster_token.clone() })
}
