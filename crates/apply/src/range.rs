//! Range requests: the rows of the store, filtered, sorted and cut as requested.

use std::cmp::Reverse;

use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{RangeOptions, RangeResult, ReadError, ReadView, Row, WriteTxn};
use prost::Message;

/// Something that ranges can be read from.
pub(crate) trait Source {
    /// The revision that a read without one of its own is made at.
    fn revision(&self) -> i64;
    fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError>;
}

impl Source for ReadView {
    fn revision(&self) -> i64 {
        ReadView::revision(self)
    }

    fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        ReadView::range(self, range, options)
    }
}

impl Source for WriteTxn<'_> {
    fn revision(&self) -> i64 {
        WriteTxn::revision(self)
    }

    fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        WriteTxn::range(self, range, options)
    }
}

/// Executes a Range request on one view. The form of the request has been checked; the caller fills the header
/// of the response. Every revision of zero or below means the view's.
pub fn range(view: &ReadView, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
    execute(view, request)
}

pub(crate) fn execute(source: &impl Source, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
    let keys = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    let at = (request.revision > 0).then_some(request.revision);
    if request.count_only {
        let options = RangeOptions { at, count_only: true, ..RangeOptions::default() };
        let count = source.range(&keys, &options)?.count;
        return Ok(RangeResponse { count: count as i64, ..RangeResponse::default() });
    }
    let plan = Plan::new(request);
    let options =
        RangeOptions { at, limit: plan.fetch, keys_only: plan.from_index, ..RangeOptions::default() };
    let RangeResult { mut rows, count } = source.range(&keys, &options)?;
    filter(request, &mut rows);
    sort(&plan, &mut rows)?;
    let limit = limit(request);
    let more = limit != 0 && rows.len() > limit;
    if more {
        rows.truncate(limit);
    }
    let strip_values = request.keys_only && !plan.from_index;
    let kvs =
        rows.into_iter()
            .map(|row| {
                if strip_values {
                    without_value(&row)
                } else {
                    Ok(EncodedKeyValue::from_encoded(row.encoded))
                }
            })
            .collect::<Result<_, _>>()?;
    Ok(RangeResponse { header: None, kvs, more, count: count as i64 })
}

/// How a request is executed: how much is fetched and what is done with it.
struct Plan {
    /// Keys to fetch; zero for all.
    fetch: usize,
    /// Whether the values are not needed at all.
    from_index: bool,
    order: SortOrder,
    target: SortTarget,
}

impl Plan {
    fn new(request: &RangeRequest) -> Self {
        // Requests with numbers that are no enum value have been rejected before.
        let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
        let requested = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
        let is_key_order = target == SortTarget::Key && requested != SortOrder::Descend;
        let is_filtered = request.min_mod_revision != 0
            || request.max_mod_revision != 0
            || request.min_create_revision != 0
            || request.max_create_revision != 0;
        // etcd cuts before it sorts when a sort target comes without an order, so only an explicit order
        // (or a filter) needs everything. One more than the limit shows that there is more.
        let needs_all = is_filtered || (requested != SortOrder::None && !is_key_order);
        let limit = limit(request);
        let fetch = if needs_all || limit == 0 { 0 } else { limit.saturating_add(1) };
        let order = match requested {
            SortOrder::None if target != SortTarget::Key => SortOrder::Ascend,
            other => other,
        };
        Self { fetch, from_index: request.keys_only && target != SortTarget::Value, order, target }
    }
}

/// The limit as a count; zero for none.
fn limit(request: &RangeRequest) -> usize {
    usize::try_from(request.limit).unwrap_or(0)
}

fn filter(request: &RangeRequest, rows: &mut Vec<Row>) {
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    let RangeRequest { min_mod_revision, max_mod_revision, min_create_revision, max_create_revision, .. } =
        *request;
    rows.retain(|row| {
        within(row.mod_revision, min_mod_revision, max_mod_revision)
            && within(row.create_revision, min_create_revision, max_create_revision)
    });
}

fn sort(plan: &Plan, rows: &mut [Row]) -> Result<(), ReadError> {
    match (plan.target, plan.order) {
        (_, SortOrder::None) | (SortTarget::Key, SortOrder::Ascend) => {}
        (SortTarget::Key, SortOrder::Descend) => rows.reverse(),
        (SortTarget::Version, order) => sort_by(rows, order, |row| row.version),
        (SortTarget::Create, order) => sort_by(rows, order, |row| row.create_revision),
        (SortTarget::Mod, order) => sort_by(rows, order, |row| row.mod_revision),
        (SortTarget::Value, order) => {
            let keyed = rows.iter().map(|row| Ok((row.key_value()?.value, row.clone())));
            let mut keyed = keyed.collect::<Result<Vec<_>, ReadError>>()?;
            match order {
                SortOrder::Descend => keyed.sort_by(|a, b| b.0.cmp(&a.0)),
                _ => keyed.sort_by(|a, b| a.0.cmp(&b.0)),
            }
            for (slot, (_, row)) in rows.iter_mut().zip(keyed) {
                *slot = row;
            }
        }
    }
    Ok(())
}

fn sort_by(rows: &mut [Row], order: SortOrder, key: impl Fn(&Row) -> i64) {
    match order {
        SortOrder::Descend => rows.sort_by_key(|row| Reverse(key(row))),
        _ => rows.sort_by_key(key),
    }
}

fn without_value(row: &Row) -> Result<EncodedKeyValue, ReadError> {
    let stripped = KeyValue { value: Default::default(), ..row.key_value()? };
    Ok(EncodedKeyValue::from_encoded(stripped.encode_to_vec().into()))
}
