//! How snapshots travel from member to member, get lost, and are installed.

use ferretcd_base::{LogPosition, MemberId};
use ferretcd_raft_node::{Committed, Event, Message};
use ferretcd_wal::{ConfState, SnapshotMark};

use super::{Cluster, Happening};

impl Cluster {
    /// The state of the sender as it is now goes along.
    pub(super) fn send_state(&mut self, from: u64, message: Message) {
        let delay = 1 + self.random.below(if self.is_faulty() { 1500 } else { 100 });
        let member = &self.members[&from];
        let (last, conf_state) = member.applied.last().expect("a leader has applied something");
        let (LogPosition { index, term }, conf_state) = (last.position, Some(conf_state.clone()));
        let wanted = message.snapshot_mark().expect("it announces a snapshot");
        assert!(wanted.index <= index, "a snapshot is named that no member has");
        let message = message.with_snapshot_mark(&SnapshotMark { index, term, conf_state });
        let start = member.running.as_ref().map_or(0, |running| running.start);
        let state = member.applied.clone();
        self.at(delay, Happening::State { message, state, start });
    }

    pub(super) fn state_arrives(&mut self, message: Message, state: Vec<(Committed, ConfState)>, start: u64) {
        let (from, to) = (message.from().0, message.to().0);
        let is_lost = self.is_faulty() && self.random.chance(20);
        let ok = !is_lost && !self.cut.contains(&(from, to)) && self.running(to).is_some();
        if ok {
            let member = self.members.get_mut(&to).expect("it is running");
            member.arrived.insert(state.len() as u64, state);
            self.feed(to, Event::Message(message));
        }
        if self.running(from).is_some_and(|running| running.start == start) {
            self.feed(from, Event::SnapshotSent { to: MemberId(to), ok });
        }
    }

    pub(super) fn install_soon(&mut self, id: u64, index: u64) {
        let delay = self.random.below(if self.is_faulty() { 1500 } else { 20 });
        let running = self.running(id).expect("it wants an installation");
        running.install = Some(index);
        let start = running.start;
        self.at(delay, Happening::Installed { member: id, start });
    }

    pub(super) fn installed(&mut self, id: u64, start: u64) {
        let Some(running) = self.running(id).filter(|running| running.start == start) else { return };
        let index = running.install.take().expect("it is wanted");
        let member = self.members.get_mut(&id).expect("it is running");
        assert!(member.applied.len() < index as usize, "a state is replaced by an older snapshot");
        member.applied = member.arrived[&index].clone();
        member.n_durable = member.applied.len();
        self.n_installed += 1;
        self.feed(id, Event::Installed(index));
        self.serve_reads(id);
    }
}
