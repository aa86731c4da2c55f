//! A model of the log that knows what may be found after a crash.

use ferretcd_wal::{Entry, HardState, Recovered, SnapshotMark};

use crate::common::METADATA;

/// The log as a naive reader of its records sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
    pub(crate) marks: Vec<SnapshotMark>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { marks: vec![SnapshotMark::default()], ..Self::default() }
    }

    pub(crate) fn last_index(&self) -> u64 {
        let mark = self.start().index;
        self.entries.last().map_or(mark, |e| e.index.max(mark))
    }

    /// Each record of an append, one after the other.
    pub(crate) fn append(&self, entries: &[Entry], hard_state: Option<HardState>) -> Vec<Self> {
        let mut states = Vec::new();
        let mut model = self.clone();
        for entry in entries {
            model.entries.retain(|e| e.index < entry.index);
            model.entries.push(entry.clone());
            states.push(model.clone());
        }
        if let Some(state) = hard_state {
            model.hard_state = state;
            states.push(model);
        }
        states
    }

    /// The records of a mark: itself, and the hard state if that has to be raised.
    pub(crate) fn mark(&self, mark: SnapshotMark) -> Vec<Self> {
        let mut model = self.clone();
        let HardState { term, vote, commit } = model.hard_state;
        // A member has no vote in a term that it knows only from a state.
        let raised = HardState { term, vote, commit: mark.index };
        let raised = if term < mark.term { HardState { term: mark.term, vote: 0, ..raised } } else { raised };
        model.marks.push(mark);
        let mut states = Vec::new();
        if commit < raised.commit {
            // By itself the mark is none.
            states.push(self.clone());
            model.hard_state = raised;
            let mark = model.start();
            let contradicts = |e: &Entry| e.index == mark.index && e.term != mark.term;
            if model.entries.iter().any(contradicts) {
                model.entries.clear();
            }
        }
        states.push(model);
        states
    }

    fn start(&self) -> &SnapshotMark {
        self.marks.iter().rfind(|m| m.index <= self.hard_state.commit).expect("the first mark is at 0")
    }

    pub(crate) fn recovered(&self) -> Recovered {
        let snapshot = self.start().clone();
        let entries = self.entries.iter().filter(|e| e.index > snapshot.index).cloned().collect();
        Recovered { metadata: METADATA, snapshot, hard_state: self.hard_state, entries }
    }
}

/// Every state the log went through, record by record, and how many of them are certainly durable.
#[derive(Debug, Clone)]
pub(crate) struct History {
    states: Vec<Model>,
    n_durable: usize,
}

impl History {
    pub(crate) fn new(start: Model) -> Self {
        Self { states: vec![start], n_durable: 1 }
    }

    pub(crate) fn now(&self) -> &Model {
        self.states.last().expect("never empty")
    }

    pub(crate) fn extend(&mut self, states: Vec<Model>) {
        self.states.extend(states);
    }

    pub(crate) fn all_is_durable(&mut self) {
        self.n_durable = self.states.len();
    }

    /// The state that was found. All that is durable must be in it, and nothing may be there in part.
    pub(crate) fn find(&self, found: &Recovered) -> &Model {
        let possible = &self.states[self.n_durable - 1..];
        possible.iter().find(|model| model.recovered() == *found).unwrap_or_else(|| {
            let states: Vec<_> = possible.iter().map(|model| summary(&model.recovered())).collect();
            panic!("found {}\nwhich is none of {states:#?}", summary(found))
        })
    }
}

/// A state in one line: of entries only index, term and length.
pub(crate) fn summary(state: &Recovered) -> String {
    let entries: Vec<_> = state.entries.iter().map(|e| (e.index, e.term, e.data.len())).collect();
    format!("mark {} {:?} {entries:?}", state.snapshot.index, state.hard_state)
}
