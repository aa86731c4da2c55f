//! Ranges of this member's state, read by the request that wants them.

use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use ferretcd_apply::{Answer, DeferredList, Lists, OpenLists, OpenRange, StreamedRange, WHOLE_BYTES_MAX};
use ferretcd_mvcc::{ReadView, Reader};

use crate::RequestError;
use crate::budget::{ResponseBudget, ResponseShare};
use crate::long_response::{
    KvResponse, LongResponse, PieceReaders, RangeStream, Repeatable, UNDER_WAY_BYTES,
};
use crate::parts::Parts;
use crate::replies::blocking;

/// Ranges of a store of at most so many keys are opened on the caller's thread, whatever that takes.
const INLINE_KEYS_MAX: usize = 512;

/// Opens ranges, within the budget. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    reader: Reader,
    readers: PieceReaders,
    budget: ResponseBudget,
}

impl Ranges {
    pub(crate) fn new(parts: &Parts, reader: Reader) -> Self {
        Self { reader, readers: PieceReaders::new(), budget: parts.channels.budget.clone() }
    }

    /// The response to a Range on one view.
    pub(crate) async fn range(
        &self,
        view: ReadView,
        request: &RangeRequest,
        header: ResponseHeader,
    ) -> Result<KvResponse<RangeResponse>, RequestError> {
        let message = RangeResponse { header: Some(header), ..RangeResponse::default() };
        let (range, share) = self.open(DeferredList { place: 0, view, request: request.clone() }).await?;
        if range.rows.n_rows() == 0 {
            return Ok(KvResponse::Message(RangeResponse { header: message.header, ..range.response }));
        }
        let mut lists = OpenLists::default();
        lists.push(0, range);
        self.encode(&message, lists, share, Repeatable::Yes).await
    }

    /// The response that lists are missing of.
    pub(crate) async fn complete<M: Lists>(
        &self,
        answer: Answer<M>,
        repeatable: Repeatable,
    ) -> Result<KvResponse<M>, RequestError> {
        let Answer { message, deferred } = answer;
        if deferred.is_empty() {
            return Ok(KvResponse::Message(message));
        }
        let mut lists = OpenLists::default();
        let mut shares = Vec::new();
        for list in deferred {
            let place = list.place;
            let (range, share) = self.open(list).await?;
            lists.push(place, range);
            shares.extend(share);
        }
        let share = shares.into_iter().reduce(ResponseShare::merge);
        self.encode(&message, lists, share, repeatable).await
    }

    /// A range in several messages.
    pub(crate) async fn stream(
        &self,
        view: ReadView,
        request: RangeRequest,
        header: ResponseHeader,
    ) -> Result<RangeStream, RequestError> {
        let (range, share) = self.open(DeferredList { place: 0, view, request }).await?;
        let share = match share {
            Some(share) => share,
            None => self.budget.reserve(UNDER_WAY_BYTES).await?,
        };
        Ok(RangeStream::new(StreamedRange::new(range, header), self.readers.clone(), share))
    }

    async fn encode<M: Lists>(
        &self,
        message: &M,
        mut lists: OpenLists,
        share: Option<ResponseShare>,
        repeatable: Repeatable,
    ) -> Result<KvResponse<M>, RequestError> {
        let encoded = message.encode_around(&mut lists);
        let share = match share {
            None if encoded.bytes() > WHOLE_BYTES_MAX => Some(self.budget.reserve(UNDER_WAY_BYTES).await?),
            share => share,
        };
        LongResponse::begin(encoded, self.readers.clone(), share, repeatable).await.map(KvResponse::Long)
    }

    /// Opens a range, which may take long and some memory: then with a share that is enough for the response as well.
    async fn open(&self, list: DeferredList) -> Result<(OpenRange, Option<ResponseShare>), RequestError> {
        if !ferretcd_apply::is_walk(&list.request) || self.reader.key_count() <= INLINE_KEYS_MAX {
            return Ok((list.open()?, None));
        }
        let (list, held) = blocking(move || {
            let held = ferretcd_apply::held_bytes(&list.view.snapshot(), &list.request)?;
            Ok((list, held))
        })
        .await?;
        let share = match held {
            0 => None,
            held => Some(self.budget.reserve(held + UNDER_WAY_BYTES).await?),
        };
        Ok((blocking(move || Ok(list.open()?)).await?, share))
    }
}
