//! Faults.

use super::{Cluster, running};
use crate::event::SimEvent;
use crate::event_queue::MS;

impl Cluster {
    /// Makes a fault, and schedules the next one; in the end all faults are healed.
    pub(super) fn fault(&mut self) {
        if !self.world.is_faulty() {
            return self.heal();
        }
        let pause = self.world.random.between(50 * MS, self.world.profile.fault_pause_ms * MS);
        let left = (self.world.profile.faults_ms * MS).saturating_sub(self.world.now());
        self.world.events.schedule(pause.min(left), SimEvent::Fault);
        let id = self.some_member();
        if self.world.random.chance(self.world.profile.changes) {
            return self.change_members();
        }
        if self.world.random.chance(self.world.profile.slow_disks) {
            return self.break_disk(id);
        }
        match self.world.random.below(100) {
            0..30 => self.crash(id),
            30..37 => {
                let all: Vec<_> = self.members.keys().copied().collect();
                all.into_iter().for_each(|id| self.crash(id));
            }
            37..55 => {
                let other = self.some_member();
                self.cut(id, other);
            }
            55..65 => self.isolate(id),
            65..75 => {
                let to = self.some_member();
                if let Some(process) = running(&mut self.members, id) {
                    process.transfer_leader(to, &mut self.world);
                }
            }
            75..85 => self.lose_stream(),
            _ => {}
        }
    }

    /// Makes a disk slow or has it stand still.
    fn break_disk(&mut self, id: u64) {
        let now = self.world.now();
        if self.world.random.chance(60) {
            let until = now + self.world.random.between(500 * MS, 5_000 * MS);
            let sync_max = self.world.random.between(200 * MS, 3_000 * MS);
            self.world.note(id, "has a slow disk", sync_max, || format!("until {until}"));
            self.world.speeds.slow_down(id, until, sync_max);
        } else {
            let until = now + self.world.random.between(150 * MS, 3_000 * MS);
            self.world.note(id, "has a stalled disk", until, String::new);
            self.world.speeds.stall(id, until);
        }
    }

    /// Ends a member without warning, and starts it again later. It loses what was not synced.
    fn crash(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(mut process) = member.process.take() else { return };
        self.world.report.n_crashes += 1;
        self.world.note(id, "crashes", process.start, String::new);
        process.fail_waiting(&mut self.world);
        // Before the process lets go of its files, for it would leave them in order.
        member.disk.crash(&mut self.world.random);
        drop(process);
        self.world.network.drop_in_flight(id);
        self.lose_streams_at(id);
        // Where faults come fast, members start fast too: else no leader would ever be elected.
        let longest = (2 * self.world.profile.fault_pause_ms).min(3_000);
        let pause = self.world.random.between(5 * MS, longest * MS);
        self.world.events.schedule(pause, SimEvent::Start(id));
    }

    /// Ends a member that has learned that it was removed.
    pub(super) fn stop(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.is_gone = true;
        if let Some(mut process) = member.process.take() {
            self.world.note(id, "stops", process.start, String::new);
            process.fail_waiting(&mut self.world);
        }
        self.world.network.drop_in_flight(id);
        self.lose_streams_at(id);
    }

    fn lose_streams_at(&mut self, id: u64) {
        for number in 0..self.watchers.len() {
            if self.watchers[number].at.is_some_and(|(member, _)| member == id) {
                self.lose(number);
            }
        }
    }

    fn lose(&mut self, number: usize) {
        self.world.report.n_lost_streams += 1;
        self.watchers[number].lose();
        self.connect(number);
    }

    /// Breaks a stream between a watcher and its member.
    fn lose_stream(&mut self) {
        if self.watchers.is_empty() {
            return;
        }
        let number = self.world.random.below(self.watchers.len() as u64) as usize;
        if let Some((member, _)) = self.watchers[number].at {
            if let Some(process) = running(&mut self.members, member) {
                process.unwatch(number);
            }
            self.lose(number);
        }
    }

    /// Cuts a link, one way or both.
    fn cut(&mut self, from: u64, to: u64) {
        if from == to {
            return;
        }
        let is_one_way = self.world.random.chance(40);
        let duration = self.world.random.between(100 * MS, 4_000 * MS);
        self.world.note(from, "is cut off from", to, || format!("{is_one_way} for {duration}"));
        self.cut_for(duration, from, to);
        if !is_one_way {
            self.cut_for(duration, to, from);
        }
    }

    /// Cuts all links of a member.
    fn isolate(&mut self, id: u64) {
        let duration = self.world.random.between(500 * MS, 5_000 * MS);
        self.world.note(id, "is isolated", duration, String::new);
        let others: Vec<_> = self.members.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.cut_for(duration, id, other);
            self.cut_for(duration, other, id);
        }
    }

    fn cut_for(&mut self, duration: u64, from: u64, to: u64) {
        self.world.network.cut(from, to);
        self.world.events.schedule(duration, SimEvent::Mend { from, to });
    }

    /// Starts all members, and ends all faults.
    fn heal(&mut self) {
        self.world.note(0, "heals", 0, String::new);
        self.world.network.heal();
        self.world.speeds.heal();
        let all: Vec<_> = self.members.keys().copied().collect();
        all.into_iter().for_each(|id| self.start(id));
    }
}
