//! Snapshots on their way between members, as the transport and the engine move them: the sender brings its state
//! file up to date and sends that, the receiver stores it before its core gets the message, and the old state stays
//! until the log durably begins behind the snapshot.

use std::error::Error;
use std::io::Read as _;

use ferretcd_apply::snapshot::{export, import_into};
use ferretcd_backend::MemoryMedium;
use ferretcd_base::LogPosition;
use ferretcd_membership::Change;
use ferretcd_raft_node::{ConfChange, ConfChangeKind, Event, Message};
use ferretcd_wal::SnapshotMark;

use super::snapshots::reject;
use super::timer::Timer;
use super::times::STOP_AFTER_REMOVAL;
use super::waiter::Requester;
use super::{Process, files};
use crate::Sabotage;
use crate::check::Reply;
use crate::event::SimEvent;
use crate::event_queue::MS;
use crate::world::World;

impl Process {
    /// The core wants to send a snapshot to a member.
    pub(super) fn send_snapshot(&mut self, message: Message, world: &mut World) {
        self.snapshots.sending.push(message);
        self.flusher.hurry();
        self.flush_soon(world);
        self.send_waiting_snapshots(world);
    }

    /// Sends snapshots if the file is up to date.
    pub(super) fn send_waiting_snapshots(&mut self, world: &mut World) {
        if self.snapshots.sending.is_empty() {
            return;
        }
        if !self.flusher.is_idle() {
            self.flusher.hurry();
            return self.flush_soon(world);
        }
        for message in std::mem::take(&mut self.snapshots.sending) {
            let to = message.to().0;
            match self.export(&message) {
                Ok((mark, image)) => {
                    let message = message.with_snapshot_mark(&mark);
                    world.note(self.id, "sends its state", mark.index, || format!("to {to}"));
                    let delay = world.random.between(MS, 300 * MS);
                    world.events.schedule(delay, SimEvent::Snapshot { message, image });
                }
                Err(error) => world.failed(self.id, &*error),
            }
        }
    }

    fn export(&self, message: &Message) -> Result<(SnapshotMark, Vec<u8>), Box<dyn Error>> {
        let mut export = export(self.backend.view())?;
        let applied = export.mark().clone();
        let at_least = message.snapshot_mark().map_or(0, |mark| mark.index);
        let LogPosition { index, term } = applied.position;
        assert!(index >= at_least, "the state file was brought up to date");
        let mut image = Vec::new();
        export.read_to_end(&mut image)?;
        let conf_state = Some(files::conf_state(&applied));
        Ok((SnapshotMark { index, term, conf_state }, image))
    }

    /// A snapshot was received; storing it takes time.
    pub(super) fn snapshot_arrived(&mut self, message: Message, image: Vec<u8>, world: &mut World) {
        let Some(mark) = message.snapshot_mark() else { return };
        if world.breaks(Sabotage::AnnounceBeforeStored) {
            self.core.handle(Event::Message(message.clone()));
            self.settle(world);
        }
        self.snapshots.storing.insert(mark.index, (message, image));
        let delay = world.speeds.sync(world.now(), self.id, &mut world.random);
        self.set_timer(delay, Timer::Stored, world);
    }

    /// Snapshots are stored: now the core may get their messages.
    pub(super) fn snapshot_stored(&mut self, world: &mut World) {
        let applied = self.machine.applied().position.index;
        self.snapshots.disk.states.borrow_mut().arrived.retain(|index, _| *index > applied);
        while let Some((index, (message, image))) = self.snapshots.storing.pop_first() {
            let medium = MemoryMedium::new();
            let stored = files::open_state(medium.clone()).map_err(Box::<dyn Error>::from);
            let stored = stored.and_then(|backend| Ok(import_into(&image[..], &backend, |_| ())?));
            match stored {
                Ok(applied) => {
                    assert_eq!(applied.position.index, index, "the image is the state that was announced");
                }
                Err(error) => return world.failed(self.id, &*error),
            }
            self.snapshots.disk.states.borrow_mut().arrived.insert(index, medium);
            let (from, to) = (message.from().0, message.to().0);
            let delay = world.random.between(100, 2 * MS);
            world.events.schedule(delay, SimEvent::SnapshotSent { from, to, ok: true });
            self.core.handle(Event::Message(message));
        }
    }

    /// The member goes down: the senders of what is not stored yet notice.
    pub(super) fn drop_snapshots(&mut self, world: &mut World) {
        let storing = std::mem::take(&mut self.snapshots.storing);
        storing.values().for_each(|(message, _)| reject(message, world));
    }

    /// Installs the snapshot that the core waits for, once nothing is on its way to the file.
    pub(super) fn install_snapshot(&mut self, world: &mut World) {
        if self.snapshots.install.is_none() || !self.inbox.is_empty() {
            return;
        }
        if !self.flusher.is_idle() {
            self.flusher.hurry();
            return self.flush_soon(world);
        }
        let Some(mark) = self.snapshots.install.take() else { return };
        if let Err(error) = self.replace_state(mark.index) {
            return world.failed(self.id, &*error);
        }
        world.report.n_snapshots += 1;
        world.note(self.id, "installs", mark.index, String::new);
        self.marked = self.marked.max(mark.index);
        self.compare_with_model(world);
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            if let Requester::Client(op) | Requester::Renewal(op, _) = waiter.requester {
                world.reply(op, Reply::Unknown);
            }
        }
        if self.machine.membership().is_removed(ferretcd_base::MemberId(self.id)) {
            self.set_timer(STOP_AFTER_REMOVAL, Timer::Stop, world);
        }
        self.applied_for_reads(mark.index);
        self.core.handle(Event::Installed(mark.index));
        self.scrub_soon(world);
        self.wake_watches(world);
    }

    fn replace_state(&mut self, index: u64) -> Result<(), Box<dyn Error>> {
        let mut states = self.snapshots.disk.states.borrow_mut();
        let state = states.arrived.remove(&index).ok_or("the state was not stored")?;
        states.current = state;
        self.backend.replace_by(&files::open_state(states.current.clone())?);
        self.machine.restore(&self.backend)?;
        Ok(())
    }

    /// A leader lets members vote that have been added as voters and have caught up since.
    pub(super) fn promote_joined_members(&mut self, world: &mut World) {
        let progress = self.core.progress();
        let committed = self.core.status().committed;
        let has_joined = |id| progress.iter().any(|it| it.id == id && it.matched * 10 >= committed * 9);
        let joining = self.machine.membership().members().filter(|member| member.is_joining);
        let Some(node) = joining.map(|member| member.id).find(|id| has_joined(*id)) else { return };
        let (id, kind) = (world.own_id(), ConfChangeKind::AddNode);
        let context = Change::Promote(node).to_context().into();
        self.core.handle(Event::ConfChange { token: id, change: ConfChange { id, kind, node, context } });
    }
}
