//! Messages, enums and methods as tables, read from a descriptor set.
//!
//! Only what the methods with an HTTP path need is kept. The forms of protobuf that no such message has (maps, floating
//! point, fixed and zigzag numbers) are rejected when the tables are made.

use std::collections::HashMap;

use http::Uri;
use prost::Message as _;

/// Fields of a message, at most: readers keep a bit for each.
pub(crate) const FIELDS_MAX: usize = 64;

/// A descriptor set that no gateway can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are not a descriptor set.
    #[error("read the descriptor set: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field or a method names a type that the set does not have.
    #[error("the descriptor set lacks the type {0}")]
    Missing(String),
    /// A field has a type that is not translated.
    #[error("the field {0} is of a type that the gateway does not translate")]
    Unsupported(String),
    /// A method is not one of `POST` with the whole body.
    #[error("the method {0} has an HTTP rule other than POST with body \"*\"")]
    Rule(String),
}

/// The index of a message in [`Schema::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId(usize);

/// The index of an enum in [`Schema::enums`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnumId(usize);

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    /// By HTTP path.
    methods: HashMap<String, Method>,
}

/// The fields of a message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// In the order of their numbers.
    pub(crate) fields: Vec<Field>,
    /// The whole names of its oneofs.
    pub(crate) oneofs: Vec<String>,
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// As the schema has it; in responses.
    pub(crate) name: String,
    /// In lower camel case; in requests and errors.
    pub(crate) json_name: String,
    pub(crate) kind: Kind,
    pub(crate) is_repeated: bool,
    /// An index in [`Message::oneofs`].
    pub(crate) oneof: Option<usize>,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

impl Kind {
    /// As errors name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Enum(_) => "enum",
            Self::Message(_) => "message",
        }
    }
}

/// Names and numbers of an enum.
#[derive(Debug, Default)]
pub(crate) struct Enum(Vec<(i32, String)>);

impl Enum {
    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == number).map(|(_, name)| name.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.0.iter().find(|(_, other)| other == name).map(|(number, _)| *number)
    }
}

/// A method that has an HTTP path.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// Its path as a gRPC call: `/package.Service/Method`.
    pub(crate) grpc_uri: Uri,
    pub(crate) request: MessageId,
    pub(crate) response: MessageId,
    pub(crate) requests_stream: bool,
    pub(crate) responses_stream: bool,
}

impl Message {
    pub(crate) fn field(&self, number: u32) -> Option<&Field> {
        let at = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        Some(&self.fields[at])
    }

    /// The index of a field by either of its names.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name || field.json_name == name)
    }
}

impl Schema {
    /// Reads an encoded `google.protobuf.FileDescriptorSet`.
    pub(crate) fn new(descriptor_set: &[u8]) -> Result<Self, SchemaError> {
        let set = descriptor::FileSet::decode(descriptor_set)?;
        let mut reader = Reader::new(&set);
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    reader
                        .add_method(&format!("/{}.{}/{}", file.package, service.name, method.name), method)?;
                }
            }
        }
        Ok(reader.schema)
    }

    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0]
    }

    pub(crate) fn method(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// The messages of the methods of `grpc_path`.
    #[cfg(test)]
    pub(crate) fn by_grpc_path(&self, grpc_path: &str) -> &Method {
        self.methods.values().find(|method| method.grpc_uri.path() == grpc_path).expect("it has an HTTP path")
    }

    #[cfg(test)]
    pub(crate) fn methods(&self) -> impl Iterator<Item = (&str, &Method)> {
        self.methods.iter().map(|(path, method)| (path.as_str(), method))
    }
}

/// Follows the types of methods, from name to name.
struct Reader<'a> {
    /// By whole name, with the leading dot that references have.
    messages: HashMap<String, &'a descriptor::Message>,
    enums: HashMap<String, &'a descriptor::Enum>,
    known_messages: HashMap<String, MessageId>,
    known_enums: HashMap<String, EnumId>,
    schema: Schema,
}

impl<'a> Reader<'a> {
    fn new(set: &'a descriptor::FileSet) -> Self {
        let mut reader = Self {
            messages: HashMap::new(),
            enums: HashMap::new(),
            known_messages: HashMap::new(),
            known_enums: HashMap::new(),
            schema: Schema::default(),
        };
        for file in &set.file {
            reader.add_types(&format!(".{}", file.package), &file.message_type, &file.enum_type);
        }
        reader
    }

    fn add_types(&mut self, scope: &str, messages: &'a [descriptor::Message], enums: &'a [descriptor::Enum]) {
        for message in messages {
            let name = format!("{scope}.{}", message.name);
            self.add_types(&name, &message.nested_type, &message.enum_type);
            self.messages.insert(name, message);
        }
        self.enums.extend(enums.iter().map(|found| (format!("{scope}.{}", found.name), found)));
    }

    fn add_method(&mut self, grpc_path: &str, method: &descriptor::Method) -> Result<(), SchemaError> {
        let Some(rule) = method.options.as_ref().and_then(|options| options.http.as_ref()) else {
            return Ok(());
        };
        let entry = Method {
            grpc_uri: Uri::try_from(grpc_path).map_err(|_| SchemaError::Missing(grpc_path.to_owned()))?,
            request: self.message(&method.input_type)?,
            response: self.message(&method.output_type)?,
            requests_stream: method.client_streaming,
            responses_stream: method.server_streaming,
        };
        for rule in std::iter::once(rule).chain(&rule.additional_bindings) {
            if rule.post.is_empty() || rule.body != "*" {
                return Err(SchemaError::Rule(grpc_path.to_owned()));
            }
            self.schema.methods.insert(rule.post.clone(), entry.clone());
        }
        Ok(())
    }

    fn message(&mut self, name: &str) -> Result<MessageId, SchemaError> {
        if let Some(known) = self.known_messages.get(name) {
            return Ok(*known);
        }
        let found = *self.messages.get(name).ok_or_else(|| SchemaError::Missing(name.to_owned()))?;
        let id = MessageId(self.schema.messages.len());
        self.known_messages.insert(name.to_owned(), id);
        // Its place is taken first: messages contain themselves.
        self.schema.messages.push(Message::default());
        let mut fields =
            found.field.iter().map(|field| self.field(name, field)).collect::<Result<Vec<_>, _>>()?;
        fields.sort_by_key(|field| field.number);
        if fields.len() > FIELDS_MAX {
            return Err(SchemaError::Unsupported(format!("{}.{}", &name[1..], fields[FIELDS_MAX].name)));
        }
        let oneofs = found.oneof_decl.iter().map(|oneof| format!("{}.{}", &name[1..], oneof.name)).collect();
        self.schema.messages[id.0] = Message { fields, oneofs };
        Ok(id)
    }

    fn enumeration(&mut self, name: &str) -> Result<EnumId, SchemaError> {
        if let Some(known) = self.known_enums.get(name) {
            return Ok(*known);
        }
        let found = *self.enums.get(name).ok_or_else(|| SchemaError::Missing(name.to_owned()))?;
        let id = EnumId(self.schema.enums.len());
        self.schema.enums.push(Enum(found.value.iter().map(|v| (v.number, v.name.clone())).collect()));
        self.known_enums.insert(name.to_owned(), id);
        Ok(id)
    }

    fn field(&mut self, message: &str, field: &descriptor::Field) -> Result<Field, SchemaError> {
        let kind = match field.r#type {
            descriptor::TYPE_BOOL => Kind::Bool,
            descriptor::TYPE_INT32 => Kind::Int32,
            descriptor::TYPE_INT64 => Kind::Int64,
            descriptor::TYPE_UINT32 => Kind::Uint32,
            descriptor::TYPE_UINT64 => Kind::Uint64,
            descriptor::TYPE_STRING => Kind::String,
            descriptor::TYPE_BYTES => Kind::Bytes,
            descriptor::TYPE_ENUM => Kind::Enum(self.enumeration(&field.type_name)?),
            descriptor::TYPE_MESSAGE => Kind::Message(self.message(&field.type_name)?),
            _ => return Err(SchemaError::Unsupported(format!("{}.{}", &message[1..], field.name))),
        };
        Ok(Field {
            number: field.number,
            name: field.name.clone(),
            json_name: field.json_name.clone().unwrap_or_else(|| lower_camel(&field.name)),
            kind,
            is_repeated: field.label == descriptor::LABEL_REPEATED,
            oneof: field.oneof_index.map(|index| index as usize),
        })
    }
}

/// `range_end` as `rangeEnd`.
fn lower_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_behind_underscore = false;
    for letter in name.chars() {
        if letter == '_' {
            is_behind_underscore = true;
        } else {
            camel.push(if is_behind_underscore { letter.to_ascii_uppercase() } else { letter });
            is_behind_underscore = false;
        }
    }
    camel
}

/// The part of a descriptor set that is read. The numbers are those of google/protobuf/descriptor.proto, and that of
/// the extension google.api.http.
mod descriptor {
    pub(super) const LABEL_REPEATED: i32 = 3;
    pub(super) const TYPE_INT64: i32 = 3;
    pub(super) const TYPE_UINT64: i32 = 4;
    pub(super) const TYPE_INT32: i32 = 5;
    pub(super) const TYPE_BOOL: i32 = 8;
    pub(super) const TYPE_STRING: i32 = 9;
    pub(super) const TYPE_MESSAGE: i32 = 11;
    pub(super) const TYPE_BYTES: i32 = 12;
    pub(super) const TYPE_UINT32: i32 = 13;
    pub(super) const TYPE_ENUM: i32 = 14;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FileSet {
        #[prost(message, repeated, tag = "1")]
        pub(super) file: Vec<File>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct File {
        #[prost(string, tag = "2")]
        pub(super) package: String,
        #[prost(message, repeated, tag = "4")]
        pub(super) message_type: Vec<Message>,
        #[prost(message, repeated, tag = "5")]
        pub(super) enum_type: Vec<Enum>,
        #[prost(message, repeated, tag = "6")]
        pub(super) service: Vec<Service>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Message {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) field: Vec<Field>,
        #[prost(message, repeated, tag = "3")]
        pub(super) nested_type: Vec<Message>,
        #[prost(message, repeated, tag = "4")]
        pub(super) enum_type: Vec<Enum>,
        #[prost(message, repeated, tag = "8")]
        pub(super) oneof_decl: Vec<Oneof>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Field {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(uint32, tag = "3")]
        pub(super) number: u32,
        #[prost(int32, tag = "4")]
        pub(super) label: i32,
        #[prost(int32, tag = "5")]
        pub(super) r#type: i32,
        #[prost(string, tag = "6")]
        pub(super) type_name: String,
        #[prost(uint32, optional, tag = "9")]
        pub(super) oneof_index: Option<u32>,
        #[prost(string, optional, tag = "10")]
        pub(super) json_name: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Oneof {
        #[prost(string, tag = "1")]
        pub(super) name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Enum {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) value: Vec<EnumValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct EnumValue {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(int32, tag = "2")]
        pub(super) number: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Service {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) method: Vec<Method>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Method {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) input_type: String,
        #[prost(string, tag = "3")]
        pub(super) output_type: String,
        #[prost(message, optional, tag = "4")]
        pub(super) options: Option<Options>,
        #[prost(bool, tag = "5")]
        pub(super) client_streaming: bool,
        #[prost(bool, tag = "6")]
        pub(super) server_streaming: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Options {
        #[prost(message, optional, tag = "72295728")]
        pub(super) http: Option<Http>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Http {
        #[prost(string, tag = "4")]
        pub(super) post: String,
        #[prost(string, tag = "7")]
        pub(super) body: String,
        #[prost(message, repeated, tag = "11")]
        pub(super) additional_bindings: Vec<Http>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_camel_case() {
        for (name, expected) in
            [("range_end", "rangeEnd"), ("TTL", "TTL"), ("dbSize", "dbSize"), ("a__b", "aB")]
        {
            assert_eq!(lower_camel(name), expected);
        }
    }

    #[test]
    fn every_method_of_etcd_can_be_called() {
        let schema =
            Schema::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET).expect("the gateway knows all types");
        let mut paths: Vec<_> = schema.methods().map(|(path, _)| path).collect();
        paths.sort_unstable();
        assert_eq!(paths.len(), 51, "{paths:#?}");
        assert!(paths.iter().all(|path| path.starts_with("/v3/")));
        let range = schema.by_grpc_path("/etcdserverpb.KV/Range");
        assert!(!range.requests_stream && !range.responses_stream);
        let watch = schema.by_grpc_path("/etcdserverpb.Watch/Watch");
        assert!(watch.requests_stream && watch.responses_stream);
    }

    #[test]
    fn bytes_that_are_no_descriptors_are_an_error() {
        assert!(matches!(Schema::new(b"\xff"), Err(SchemaError::Malformed(_))));
    }
}
