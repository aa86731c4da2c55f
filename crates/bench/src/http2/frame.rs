//! The few HTTP/2 frames that a client of gRPC needs (RFC 9113), and the header block of a call (RFC 7541).

/// Bytes before the payload of each frame.
pub(crate) const HEAD_BYTES: usize = 9;
/// The largest payload unless the receiver allows more, which this client neither does nor uses.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The largest flow-control window.
pub(crate) const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The window of a connection, and of a stream unless SETTINGS say otherwise, when it begins.
pub(crate) const WINDOW_DEFAULT: u32 = 65_535;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// Of DATA and HEADERS.
pub(crate) const PADDED: u8 = 8;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a client says before its first frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What stands before a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Head {
    pub(crate) fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & WINDOW_MAX,
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        debug_assert!(self.length <= PAYLOAD_BYTES_MAX);
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags, d, e, f, g]);
    }
}

/// Writes what opens a connection. The peer may send `window` bytes on each stream, and as much as there can be
/// on all of them together.
pub(crate) fn write_preface(out: &mut Vec<u8>, window: u32) {
    out.extend_from_slice(PREFACE);
    write_settings(out, &[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)]);
    write_window_update(out, 0, WINDOW_MAX - WINDOW_DEFAULT);
}

/// Writes names and values that the peer has to keep to.
pub(crate) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    Head { length: settings.len() * 6, kind: SETTINGS, flags: 0, stream: 0 }.write(out);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Lets the peer send that much more on a stream, or with 0 on the connection.
pub(crate) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    Head { length: 4, kind: WINDOW_UPDATE, flags: 0, stream }.write(out);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// The names and values of a SETTINGS payload.
pub(crate) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    payload.chunks_exact(6).map(|each| {
        (u16::from_be_bytes([each[0], each[1]]), u32::from_be_bytes([each[2], each[3], each[4], each[5]]))
    })
}

/// The header blocks of calls on one connection.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Of the first call: it puts each field into the server's table, as gRPC clients do.
    pub(crate) first: Vec<u8>,
    /// Of all others, which name these fields by number.
    pub(crate) later: Vec<u8>,
}

impl Blocks {
    /// Of calls to `path`, by a user if there is a token.
    pub(crate) fn new(path: &str, authority: &str, token: Option<&str>) -> Self {
        let fields = [(4, "", path), (1, "", authority), (31, "", "application/grpc"), (0, "te", "trailers")];
        let fields = fields.into_iter().chain(token.map(|token| (0, "token", token)));
        let mut first = vec![METHOD_POST, SCHEME_HTTP];
        let mut later = first.clone();
        // A name of the static table by its number, or 0 and the name itself.
        for (name_index, name, value) in fields.clone() {
            first.push(0x40 | name_index);
            if name_index == 0 {
                write_string(&mut first, name);
            }
            write_string(&mut first, value);
        }
        let n_fields = fields.count() as u8;
        later.extend((0..n_fields).rev().map(|age| 0x80 | (NEWEST + age)));
        Self { first, later }
    }
}

/// The server's table numbers its entries from the newest.
const NEWEST: u8 = 62;
/// Entries of the static table.
const METHOD_POST: u8 = 0x83;
const SCHEME_HTTP: u8 = 0x86;

fn write_string(block: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
    block.push(length.expect("paths, addresses and tokens are short"));
    block.extend_from_slice(text.as_bytes());
}
