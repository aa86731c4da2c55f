//! `ferretutl migrate`.

use ferretcd_data_dir::{LeaveError, Paths, leave_to_etcd};

use crate::args::{Migrate, Target};
use crate::{progress, say};

pub(crate) fn run(args: &Migrate) -> Result<(), LeaveError> {
    let Target::Etcd = args.to;
    let bar = progress::bar("writing etcd's database", 0);
    let left = leave_to_etcd(Paths::new(&args.data_dir, args.wal_dir.as_deref()), |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    say(&format_args!(
        "{} has everything up to entry {} of the log; etcd 3.7 can be started on {}.\n\
         The state file of ferretcd is not needed any more: rm '{}'",
        left.database.display(),
        left.index,
        args.data_dir.display(),
        left.state_file.display()
    ));
    Ok(())
}
