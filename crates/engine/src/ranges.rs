//! Ranges of this member's state, read by the request that wants them.

use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use ferretcd_apply::{
    DeferredList, Lists, OpenLists, OpenRange, PartialResponse, RangePlan, StreamedRange, WHOLE_BYTES_MAX,
};
use ferretcd_mvcc::ReadView;

use crate::RequestError;
use crate::budget::{ResponseBudget, ResponseShare};
use crate::long_response::{
    KvResponse, LongResponse, PieceReaders, RangeStream, Repeatable, UNDER_WAY_BYTES,
};
use crate::parts::Parts;
use crate::replies::blocking;

/// Bytes of a message at most; what the length field of other implementations takes.
const MESSAGE_BYTES_MAX: u64 = i32::MAX as u64;

/// Opens ranges, within the budget. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    readers: PieceReaders,
    budget: ResponseBudget,
}

/// Lists whose rows are known, with the share for what they hold.
struct Opened<T> {
    lists: T,
    share: Option<ResponseShare>,
}

impl Ranges {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self { readers: PieceReaders::new(), budget: parts.channels.budget.clone() }
    }

    /// The response to a Range on one view.
    pub(crate) async fn range(
        &self,
        view: ReadView,
        request: &RangeRequest,
        header: ResponseHeader,
    ) -> Result<KvResponse<RangeResponse>, RequestError> {
        let message = RangeResponse { header: Some(header), ..RangeResponse::default() };
        let list = DeferredList { place: 0, view, plan: RangePlan::new(request) };
        let Opened { lists: range, share } = self.open_newest(list).await?;
        if range.rows.n_rows() == 0 {
            return Ok(KvResponse::Message(RangeResponse { header: message.header, ..range.response }));
        }
        let n_rows = range.rows.n_rows() as u64;
        let mut lists = OpenLists::default();
        lists.push(0, range);
        let response = self.encode(&message, Opened { lists, share }, Repeatable::Yes).await?;
        Ok(response.with_rows(n_rows))
    }

    /// The response that lists are missing of. An error after a write says that its outcome is not known.
    pub(crate) async fn complete<M: Lists>(
        &self,
        partial: PartialResponse<M>,
        repeatable: Repeatable,
    ) -> Result<KvResponse<M>, RequestError> {
        let PartialResponse { message, deferred } = partial;
        if deferred.is_empty() {
            return Ok(KvResponse::Message(message));
        }
        let response = async {
            let opened = self.open(deferred, repeatable).await?;
            self.encode(&message, opened, repeatable).await
        };
        response.await.map_err(|error| match repeatable {
            Repeatable::Yes => error,
            Repeatable::No => {
                tracing::warn!(%error, "a request is done and its response cannot be read");
                RequestError::Timeout
            }
        })
    }

    /// A range in several messages.
    pub(crate) async fn stream(
        &self,
        view: ReadView,
        request: &RangeRequest,
        header: ResponseHeader,
    ) -> Result<RangeStream, RequestError> {
        let Opened { lists: range, share } =
            self.open_newest(DeferredList { place: 0, view, plan: RangePlan::new(request) }).await?;
        let share = self.share_for(range.rows.bytes(), share, Repeatable::Yes).await?;
        Ok(RangeStream::new(StreamedRange::new(range, header), self.readers.clone(), share))
    }

    async fn encode<M: Lists>(
        &self,
        message: &M,
        Opened { mut lists, share }: Opened<OpenLists>,
        repeatable: Repeatable,
    ) -> Result<KvResponse<M>, RequestError> {
        let encoded = message.encode_around(&mut lists);
        if encoded.bytes() > MESSAGE_BYTES_MAX {
            return Err(RequestError::ResponseTooLarge { bytes: encoded.bytes() });
        }
        let share = self.share_for(encoded.bytes(), share, repeatable).await?;
        LongResponse::begin(encoded, self.readers.clone(), share, repeatable).await.map(KvResponse::Long)
    }

    /// The share of a response of so many bytes; the one that it has already is enough.
    async fn share_for(
        &self,
        bytes: u64,
        share: Option<ResponseShare>,
        repeatable: Repeatable,
    ) -> Result<Option<ResponseShare>, RequestError> {
        match share {
            None if bytes > WHOLE_BYTES_MAX => self.reserve(UNDER_WAY_BYTES, repeatable).await,
            share => Ok(share),
        }
    }

    /// Waits for a share. A request that has written waits for none, and goes on without one if it must.
    async fn reserve(
        &self,
        bytes: u64,
        repeatable: Repeatable,
    ) -> Result<Option<ResponseShare>, RequestError> {
        match repeatable {
            Repeatable::Yes => self.budget.reserve(bytes).await.map(Some),
            Repeatable::No => Ok(self.budget.reserve_now(bytes)),
        }
    }

    /// Opens a range of the newest state, which is known at once in the order of the keys.
    async fn open_newest(&self, list: DeferredList) -> Result<Opened<OpenRange>, RequestError> {
        if !list.plan.is_walk() {
            return Ok(Opened { lists: list.open()?, share: None });
        }
        let (list, share) = match list.plan.is_sorted() {
            true => {
                let Held { mut lists, share } = self.hold(vec![list], Repeatable::Yes).await?;
                (lists.remove(0), share)
            }
            false => (list, None),
        };
        let (lists, share) = blocking(move || Ok((list.open()?, share))).await?;
        Ok(Opened { lists, share })
    }

    /// Opens ranges of some state, which may have changed much since.
    async fn open(
        &self,
        deferred: Vec<DeferredList>,
        repeatable: Repeatable,
    ) -> Result<Opened<OpenLists>, RequestError> {
        let Held { lists, share } = self.hold(deferred, repeatable).await?;
        blocking(move || {
            let mut opened = OpenLists::default();
            for list in &lists {
                opened.push(list.place, list.open()?);
            }
            Ok(Opened { lists: opened, share })
        })
        .await
    }

    /// Gets the share for what lists hold when they are open. It is for the response as well.
    async fn hold(&self, lists: Vec<DeferredList>, repeatable: Repeatable) -> Result<Held, RequestError> {
        let (lists, held) = blocking(move || {
            let mut held = 0;
            for list in &lists {
                held += list.plan.held_bytes(&list.view.snapshot())?;
            }
            Ok((lists, held))
        })
        .await?;
        let share = match held {
            0..=WHOLE_BYTES_MAX => None,
            held => self.reserve(held.saturating_add(UNDER_WAY_BYTES), repeatable).await?,
        };
        Ok(Held { lists, share })
    }
}

/// Lists that are still to be opened, with the share for what they will hold.
struct Held {
    lists: Vec<DeferredList>,
    share: Option<ResponseShare>,
}
