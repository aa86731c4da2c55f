//! Responses as lines.
//!
//! `watch ID rev R`, then what else the response says, then one line per event.

use std::collections::BTreeMap;

use ferretcd_api_proto::mvccpb::KeyValue;

use super::super::kv::Shown;
use super::super::words::show_bytes;
use crate::{Event, Response};

impl Shown {
    pub(super) fn watch(&self, response: &Response) -> Vec<String> {
        let mut out = format!("watch {} {}", response.watch_id, self.header(response.header.as_ref()));
        for (is, word) in
            [(response.created, "created"), (response.canceled, "canceled"), (response.fragment, "fragment")]
        {
            if is {
                out.push_str(&format!(" {word}"));
            }
        }
        if response.compact_revision != 0 {
            out.push_str(&format!(" compacted {}", self.base.show(response.compact_revision)));
        }
        if !response.cancel_reason.is_empty() {
            out.push_str(&format!(": {}", response.cancel_reason));
        }
        let events = response.events.iter().flat_map(|event| self.event(event));
        [out].into_iter().chain(events.map(|line| format!("  {line}"))).collect()
    }

    fn event(&self, event: &Event) -> Vec<String> {
        let row = &event.row;
        // A tombstone has only the key and the revision of the deletion.
        let mut out = vec![if !event.is_delete {
            format!("put {}", self.decoded_row(row))
        } else if is_tombstone(row) {
            format!("delete {} mod {}", show_bytes(&row.key), self.base.show(row.mod_revision))
        } else {
            format!("delete with a row {}", self.decoded_row(row))
        }];
        out.extend(event.prev.iter().map(|row| format!("  prev {}", self.decoded_row(row))));
        out
    }
}

fn is_tombstone(row: &KeyValue) -> bool {
    let rest = KeyValue { key: row.key.clone(), mod_revision: row.mod_revision, ..KeyValue::default() };
    *row == rest
}

/// The events of one stream and what its responses say about watches, without progress, which comes at any time. How
/// events are spread over responses depends on the moment and is not shown. The invariants are checked: the events of
/// one revision are in one response or in its fragments, and no header is behind the events below it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    watches: BTreeMap<i64, Watch>,
    count: usize,
}

#[derive(Debug, Default)]
struct Watch {
    lines: Vec<String>,
    /// Newest revision of the whole responses so far.
    finished: i64,
}

impl Gathered {
    pub(super) fn events(&self) -> usize {
        self.count
    }

    pub(super) fn add(&mut self, response: Response, shown: &Shown) {
        if response.is_progress() {
            return;
        }
        self.count += response.events.len();
        let watch = self.watches.entry(response.watch_id).or_default();
        if response.events.is_empty() {
            return watch.lines.extend(shown.watch(&response));
        }
        let revisions = || response.events.iter().map(|event| event.row.mod_revision);
        let header = response.revision();
        let (first, last) = (revisions().next().unwrap_or_default(), revisions().max().unwrap_or_default());
        if first <= watch.finished {
            watch.lines.push(format!("revision {} comes in two responses", shown.base.show(first)));
        }
        if header < last {
            watch.lines.push(format!("header {} for {}", shown.base.show(header), shown.base.show(last)));
        }
        let whole = shown.header(response.header.as_ref());
        if whole.contains("wrong") || !whole.starts_with("rev") {
            watch.lines.push(whole);
        }
        if !response.fragment {
            watch.finished = last;
        }
        watch.lines.extend(response.events.iter().flat_map(|event| shown.event(event)));
    }

    /// The lines, with the number of the watch where there are several.
    pub(super) fn lines(self) -> Vec<String> {
        let several = self.watches.len() > 1;
        let line = |id: i64, line: String| if several { format!("{id}: {line}") } else { line };
        self.watches
            .into_iter()
            .flat_map(|(id, watch)| watch.lines.into_iter().map(move |text| line(id, text)))
            .collect()
    }
}
