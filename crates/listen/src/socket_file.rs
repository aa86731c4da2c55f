//! A Unix socket and its file.
//!
//! The file outlives the process that made it. It is taken away when the socket is no longer listened on; what a killed
//! process has left is taken away before the next bind. Which of both a file is, a connection tells: the system refuses
//! those to a socket that no process listens on. Between this look and the bind another server may bind the same path,
//! so a lock of the directory is held.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::bind::{LISTEN_BACKLOG, system_text};

/// The bytes of the longest path: of the 108 that the system has for one, the last is zero.
const PATH_BYTES_MAX: usize = 107;

/// A path that can't be listened on. The texts begin as Go's.
#[derive(Debug, thiserror::Error)]
pub enum BindUnixError {
    /// A process listens on the path.
    #[error(
        "listen unix {}: bind: address already in use: a server listens there; stop it or choose another path",
        .0.display()
    )]
    InUse(PathBuf),
    /// The path has a file that is no socket.
    #[error(
        "listen unix {}: bind: file exists and is no socket; remove it or choose another path",
        .0.display()
    )]
    NoSocket(PathBuf),
    /// The path is too long for the system.
    #[error(
        "listen unix {}: bind: invalid argument: the path has {} bytes, {PATH_BYTES_MAX} are allowed; choose a shorter one",
        .0.display(),
        .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// The directory of the path does not exist.
    #[error("listen unix {}: bind: no such file or directory; make its directory first", .0.display())]
    NoDirectory(PathBuf),
    /// The system rejects the socket.
    #[error("listen unix {}: {call}: {}", path.display(), system_text(.error))]
    System {
        /// The path.
        path: PathBuf,
        /// The system call.
        call: &'static str,
        /// Why. Its text is part of this one's.
        error: io::Error,
    },
}

/// A bound Unix socket. Its file is removed with it, unless another one has taken its place.
#[derive(Debug)]
pub struct UnixSocket {
    // First, so that the file is gone before the socket is closed: nothing finds it refusing connections, and its inode is
    // no other file's yet.
    file: SocketFile,
    listener: UnixListener,
}

/// Makes a Unix socket at `path` and listens. Needs a tokio runtime. A file of mode 777 less the process's umask stands
/// for it.
///
/// A socket that no process listens on is replaced. The directory has to exist.
///
/// # Errors
/// When a process listens there, also this one, when another kind of file is there, and those of the system.
pub fn bind_unix(path: impl Into<PathBuf>) -> Result<UnixSocket, BindUnixError> {
    let path = path.into();
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(BindUnixError::TooLong(path));
    }
    let failed = |call| {
        let path = path.clone();
        move |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => BindUnixError::NoDirectory(path),
            io::ErrorKind::AddrInUse => BindUnixError::InUse(path),
            _ => BindUnixError::System { path, call, error },
        }
    };
    let _lock = lock_directory(&path);
    remove_stale(&path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("socket"))?;
    let address = SockAddr::unix(&path).map_err(failed("bind"))?;
    socket.set_nonblocking(true).map_err(failed("socket"))?;
    socket.bind(&address).map_err(failed("bind"))?;
    let file = SocketFile::at(path.clone()).map_err(failed("stat"))?;
    socket.listen(i32::try_from(LISTEN_BACKLOG).unwrap_or(i32::MAX)).map_err(failed("listen"))?;
    let listener = UnixListener::from_std(socket.into()).map_err(failed("listen"))?;
    Ok(UnixSocket { file, listener })
}

/// A lock of the directory of a path. Where the directory can't be locked, two servers that start at the same moment over
/// the socket of a third, which is dead, may both bind; then the later one has it.
fn lock_directory(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new("."))).ok()?;
    directory.lock().ok().map(|()| directory)
}

/// Removes a socket that no process listens on.
fn remove_stale(path: &Path) -> Result<(), BindUnixError> {
    let failed = |call| move |error| BindUnixError::System { path: path.to_owned(), call, error };
    // Without following a link: what is bound would be the link's own path.
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("stat")(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindUnixError::NoSocket(path.to_owned()));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("socket"))?;
    // A server whose queue is full must not hold up this one.
    socket.set_nonblocking(true).map_err(failed("socket"))?;
    let connected = SockAddr::unix(path).and_then(|address| socket.connect(&address));
    match connected {
        Err(error) if error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => {
            tracing::info!(path = %path.display(), "removing the socket of a process that has ended");
            fs::remove_file(path).map_err(failed("remove"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed("connect")(error)),
        // Any other error comes from a socket that is listened on, or is not a stream.
        Ok(()) | Err(_) => Err(BindUnixError::InUse(path.to_owned())),
    }
}

impl UnixSocket {
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// The file of a socket that is open.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&fs::symlink_metadata(&path)?);
        Ok(Self { path, identity })
    }
}

/// Device and inode.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = |metadata: &Metadata| identity(metadata) == self.identity;
        if fs::symlink_metadata(&self.path).as_ref().is_ok_and(is_own)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove the file of a socket");
        }
    }
}
