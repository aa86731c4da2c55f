//! Profiles in the format of pprof: the message `perftools.profiles.Profile`, compressed with gzip.
//!
//! The format is described in `profile.proto` of <https://github.com/google/pprof>. Texts are numbers of a table whose
//! first entry is empty.

use std::collections::HashMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

/// Puts a profile together.
#[derive(Debug)]
pub(super) struct Builder {
    profile: Profile,
    texts: HashMap<String, i64>,
    /// By name and file.
    functions: HashMap<(String, String), u64>,
    /// By their lines.
    locations: HashMap<Vec<Frame>, u64>,
}

/// A function at a place of the stack, with the line that it has reached. Unknown parts are empty or zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub(super) function: String,
    pub(super) file: String,
    pub(super) line: u32,
}

impl Frame {
    pub(super) fn named(function: impl Into<String>) -> Self {
        Self { function: function.into(), file: String::new(), line: 0 }
    }
}

impl Builder {
    /// A profile whose samples have these values, each with its unit.
    pub(super) fn new(values: &[(&str, &str)]) -> Self {
        let mut builder = Self {
            profile: Profile { string_table: vec![String::new()], ..Profile::default() },
            texts: [(String::new(), 0)].into(),
            functions: HashMap::new(),
            locations: HashMap::new(),
        };
        builder.profile.sample_type = values.iter().map(|value| builder.value_type(*value)).collect();
        builder
    }

    /// When it was taken, in nanoseconds since the Unix epoch, and for how long.
    pub(super) fn taken(&mut self, at: i64, nanoseconds: i64) {
        (self.profile.time_nanos, self.profile.duration_nanos) = (at, nanoseconds);
    }

    /// What lies between two samples.
    pub(super) fn period(&mut self, value: (&str, &str), amount: i64) {
        self.profile.period_type = Some(self.value_type(value));
        self.profile.period = amount;
    }

    /// A note to the reader.
    pub(super) fn comment(&mut self, text: &str) {
        let text = self.text(text);
        self.profile.comment.push(text);
    }

    /// A sample with a value of each kind. The stack begins with the innermost place; each place has the functions that
    /// the compiler put into each other, the innermost first.
    pub(super) fn sample(&mut self, stack: impl IntoIterator<Item = Vec<Frame>>, values: Vec<i64>) {
        let location_id = stack.into_iter().map(|frames| self.location(frames)).collect();
        self.profile.sample.push(Sample { location_id, value: values });
    }

    /// The bytes of the file.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(&self.profile.encode_to_vec()).and_then(|()| encoder.finish());
        written.expect("a vector takes every write")
    }

    fn value_type(&mut self, (kind, unit): (&str, &str)) -> ValueType {
        ValueType { r#type: self.text(kind), unit: self.text(unit) }
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(number) = self.texts.get(text) {
            return *number;
        }
        let number = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.texts.insert(text.to_owned(), number);
        number
    }

    fn location(&mut self, frames: Vec<Frame>) -> u64 {
        if let Some(id) = self.locations.get(&frames) {
            return *id;
        }
        let lines =
            frames.iter().map(|frame| Line { function_id: self.function(frame), line: frame.line.into() });
        let line = lines.collect();
        let id = self.locations.len() as u64 + 1;
        self.profile.location.push(Location { id, line });
        self.locations.insert(frames, id);
        id
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let key = (frame.function.clone(), frame.file.clone());
        if let Some(id) = self.functions.get(&key) {
            return *id;
        }
        let id = self.functions.len() as u64 + 1;
        let (name, filename) = (self.text(&frame.function), self.text(&frame.file));
        self.profile.function.push(Function { id, name, filename });
        self.functions.insert(key, id);
        id
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

/// Without the name of the linker: where that is the same as the name, Go's tool leaves out what stands in angle brackets.
#[derive(Clone, PartialEq, prost::Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// Back from the bytes: the values of each sample, and its functions from the outermost on.
    fn read(file: &[u8]) -> Vec<(Vec<i64>, Vec<String>)> {
        let mut bytes = Vec::new();
        GzDecoder::new(file).read_to_end(&mut bytes).expect("it is gzip");
        let profile = Profile::decode(&bytes[..]).expect("it is a profile");
        let name = |id: u64| {
            let function = profile.function.iter().find(|function| function.id == id).expect("it is there");
            profile.string_table[usize::try_from(function.name).expect("a place")].clone()
        };
        let place = |id: &u64| profile.location.iter().find(|place| place.id == *id).expect("it is there");
        let stack = |sample: &Sample| {
            let lines = sample.location_id.iter().flat_map(|id| &place(id).line);
            let mut names: Vec<_> = lines.map(|line| name(line.function_id)).collect();
            names.reverse();
            names
        };
        profile.sample.iter().map(|sample| (sample.value.clone(), stack(sample))).collect()
    }

    #[test]
    fn samples_are_found_again() {
        let mut builder = Builder::new(&[("samples", "count"), ("cpu", "nanoseconds")]);
        let place = |names: &[&str]| names.iter().map(|name| Frame::named(*name)).collect::<Vec<_>>();
        builder.sample([place(&["inlined", "outer"]), place(&["main"])], vec![1, 10]);
        builder.sample([place(&["main"])], vec![2, 20]);
        let texts = ["", "samples", "count", "cpu", "nanoseconds", "inlined", "outer", "main"];
        assert_eq!(builder.profile.string_table, texts);
        let expected = [(vec![1, 10], vec!["main", "outer", "inlined"]), (vec![2, 20], vec!["main"])];
        let expected =
            expected.map(|(values, names)| (values, names.into_iter().map(str::to_owned).collect()));
        assert_eq!(read(&builder.finish()), expected);
    }
}
