//! How the messages of a call are read and written.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What a call takes before its first message is there, in bytes. Enough for the small ones that most calls send; larger
/// messages get their room when they arrive.
const EMPTY_BYTES: usize = 512;
/// As in tonic: a response of several messages is handed on when so many bytes have gathered.
const YIELD_BYTES: usize = 32 << 10;

/// The codec of tonic, but for the memory of a call that is open and has no message yet: a sixteenth.
#[derive(Clone, Debug)]
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::new(BufferSettings::new(EMPTY_BYTES, YIELD_BYTES))
    }
}
