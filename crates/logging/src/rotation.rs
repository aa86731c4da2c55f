//! A log file that begins anew when it has grown, in the manner of lumberjack, which etcd rotates with.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::Rotation;
use crate::sink::append;

/// The time in the name of an older file.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";
/// How its name ends when it is compressed.
const COMPRESSED: &str = ".gz";

/// The file that lines go to.
#[derive(Debug)]
pub(super) struct RotatedFile {
    path: PathBuf,
    rotation: Rotation,
    current: Mutex<Current>,
    /// Held by what removes and compresses, so that it happens once at a time.
    cleaning: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct Current {
    file: File,
    n_bytes: u64,
}

impl RotatedFile {
    pub(super) fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let current = Mutex::new(Current::open(&path)?);
        let file = Self { path, rotation, current, cleaning: Arc::default() };
        file.clean_up();
        Ok(file)
    }

    /// Writes a line, to a new file if it does not fit. When there can be no new one the old one grows.
    pub(super) fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let n_bytes = current.n_bytes + line.len() as u64;
        if current.n_bytes > 0
            && n_bytes > self.rotation.bytes_max
            && let Ok(next) = self.begin_anew(&current.file, Timestamp::now())
        {
            *current = next;
            self.clean_up();
        }
        current.n_bytes += line.len() as u64;
        current.file.write_all(line)
    }

    /// Renames the file, and opens another one in its place, with its owner and permissions.
    fn begin_anew(&self, before: &File, now: Timestamp) -> io::Result<Current> {
        match fs::rename(&self.path, self.unused(now)) {
            // It is gone already: renamed when no other could be opened, or taken away.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let next = Current::open(&self.path)?;
        like(before, &self.path);
        Ok(next)
    }

    /// A name for the file as an older one that no other has: a batch of lines can fill several in a millisecond.
    fn unused(&self, now: Timestamp) -> PathBuf {
        let mut at = now;
        while self.older(at).exists() {
            at += Span::new().milliseconds(1);
        }
        self.older(at)
    }

    /// The name of the file once it is an older one.
    fn older(&self, now: Timestamp) -> PathBuf {
        let zone = if self.rotation.local_time { TimeZone::system() } else { TimeZone::UTC };
        let time = now.to_zoned(zone).strftime(TIME).to_string();
        let (prefix, suffix) = name_parts(&self.path);
        self.path.with_file_name(format!("{prefix}{time}{suffix}"))
    }

    /// Removes and compresses older files, beside the writing of lines.
    fn clean_up(&self) {
        let Rotation { days_max, files_max, compress, .. } = self.rotation;
        if days_max.is_none() && files_max.is_none() && !compress {
            return;
        }
        let (path, rotation, cleaning) = (self.path.clone(), self.rotation, Arc::clone(&self.cleaning));
        // Without the thread it is done at the next change.
        let _ = thread::Builder::new().name("log-rotation".into()).spawn(move || {
            let _cleaning = cleaning.lock();
            let _ = clean_up(&path, rotation, Timestamp::now());
        });
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let n_bytes = file.metadata()?.len();
        Ok(Self { file, n_bytes })
    }
}

/// Gives a file the permissions and the owner of another, as far as this process may.
fn like(model: &File, path: &Path) {
    if let Ok(model) = model.metadata() {
        let _ = chown(path, Some(model.uid()), Some(model.gid()));
        let _ = fs::set_permissions(path, model.permissions());
    }
}

/// What stands before and behind the time in the names of older files.
fn name_parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    let suffix =
        path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    (format!("{}-", text(path.file_stem())), suffix)
}

/// The older files, the newest first.
fn older_files(path: &Path) -> io::Result<Vec<(DateTime, PathBuf)>> {
    let (prefix, suffix) = name_parts(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let plain = name.strip_suffix(COMPRESSED).unwrap_or(&name);
        let time = plain.strip_prefix(&*prefix).and_then(|rest| rest.strip_suffix(&*suffix));
        if let Some(time) = time.and_then(|time| DateTime::strptime(TIME, time).ok()) {
            found.push((time, entry.path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

fn clean_up(path: &Path, rotation: Rotation, now: Timestamp) -> io::Result<()> {
    let zone = if rotation.local_time { TimeZone::system() } else { TimeZone::UTC };
    let oldest = rotation
        .days_max
        .and_then(|days| now.to_zoned(zone).datetime().checked_sub(Span::new().try_days(days).ok()?).ok());
    let mut times: Vec<DateTime> = Vec::new();
    for (time, file) in older_files(path)? {
        // A file beside its compressed form counts once.
        if times.last() != Some(&time) {
            times.push(time);
        }
        let is_too_many = rotation.files_max.is_some_and(|max| times.len() > max);
        let is_too_old = oldest.is_some_and(|oldest| time < oldest);
        // What fails is tried again the next time.
        let _ = if is_too_many || is_too_old {
            fs::remove_file(&file)
        } else if rotation.compress && file.extension() != Some(OsStr::new("gz")) {
            compress(&file, &path.with_extension("gz.partial"))
        } else {
            Ok(())
        };
    }
    Ok(())
}

/// Puts a compressed file in the place of another; `partial` is its name while it is written. A kill in between leaves the
/// file, or both, of which the next time makes one.
fn compress(file: &Path, partial: &Path) -> io::Result<()> {
    let mut done = file.as_os_str().to_owned();
    done.push(COMPRESSED);
    let _ = fs::remove_file(partial);
    let mut encoder = GzEncoder::new(append(partial)?, Compression::default());
    let mut from = File::open(file)?;
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    like(&from, partial);
    fs::rename(partial, done)?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const ROTATION: Rotation =
        Rotation { bytes_max: 10, days_max: None, files_max: None, local_time: false, compress: false };

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_line_that_does_not_fit_begins_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etcd.log");
        fs::write(&path, "before\n").expect("a file");
        let file = RotatedFile::open(path.clone(), ROTATION).expect("it opens");
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        file.write(b"ab\n").expect("it is written");
        assert_eq!(read(&path), "before\nab\n", "ten bytes fit");
        file.write(b"a line that is longer\n").expect("it is written");
        assert_eq!(read(&path), "a line that is longer\n");
        let older = older_files(&path).expect("the folder is there");
        assert_eq!(older.len(), 1);
        assert_eq!(read(&older[0].1), "before\nab\n");
    }

    #[test]
    fn a_file_that_was_taken_away_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etcd.log");
        let file = RotatedFile::open(path.clone(), ROTATION).expect("it opens");
        file.write(b"0123456789").expect("it is written");
        fs::remove_file(&path).expect("it is there");
        file.write(b"x").expect("it is written");
        assert_eq!(fs::read(&path).expect("it is there"), b"x");
    }

    #[test]
    fn a_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etcd.log");
        fs::write(&path, "0123456789").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let file = RotatedFile::open(path.clone(), ROTATION).expect("it opens");
        file.write(b"x").expect("it is written");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn names_have_the_time() {
        let at: Timestamp = "2026-01-31T23:59:59.5Z".parse().expect("a time");
        let folder = tempfile::tempdir().expect("a folder");
        for (name, expected) in
            [("etcd.log", "etcd-2026-01-31T23-59-59.500.log"), ("log", "log-2026-01-31T23-59-59.500")]
        {
            let file = RotatedFile::open(folder.path().join(name), ROTATION).expect("it opens");
            assert_eq!(file.older(at), folder.path().join(expected));
        }
    }

    #[test]
    fn old_files_are_removed_by_number_and_age() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etcd.log");
        for day in ["2026-01-01", "2026-01-02", "2026-01-03"] {
            fs::write(folder.path().join(format!("etcd-{day}T00-00-00.000.log")), day).expect("a file");
        }
        fs::write(folder.path().join("etcd-yesterday.log"), "another").expect("a file");
        let now: Timestamp = "2026-01-04T00:00:00Z".parse().expect("a time");
        clean_up(&path, Rotation { days_max: Some(u32::MAX), ..ROTATION }, now).expect("no file is as old");
        clean_up(&path, Rotation { days_max: Some(2), ..ROTATION }, now).expect("it is cleaned up");
        let (second, third) = ("etcd-2026-01-02T00-00-00.000.log", "etcd-2026-01-03T00-00-00.000.log");
        assert_eq!(names(folder.path()), [second, third, "etcd-yesterday.log"]);
        clean_up(&path, Rotation { files_max: Some(1), ..ROTATION }, now).expect("it is cleaned up");
        assert_eq!(names(folder.path()), [third, "etcd-yesterday.log"]);
    }

    #[test]
    fn old_files_are_compressed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etcd.log");
        let older = folder.path().join("etcd-2026-01-01T00-00-00.000.log");
        fs::write(&older, "text").expect("a file");
        let rotation = Rotation { compress: true, ..ROTATION };
        clean_up(&path, rotation, Timestamp::now()).expect("it is compressed");
        assert_eq!(names(folder.path()), ["etcd-2026-01-01T00-00-00.000.log.gz"]);
        let file =
            File::open(folder.path().join("etcd-2026-01-01T00-00-00.000.log.gz")).expect("it is there");
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is compressed");
        assert_eq!(text, "text");
        clean_up(&path, rotation, Timestamp::now()).expect("there is nothing to do");
        assert_eq!(older_files(&path).expect("the folder is there").len(), 1);
    }
}
