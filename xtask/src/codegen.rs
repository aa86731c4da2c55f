//! `cargo xtask codegen`: proto files in, checked-in Rust out.
//!
//! `proto/` is compiled without protoc into a descriptor set. From it come one Rust file per package and the
//! encoded set itself, all in `crates/api-proto/src/generated/`. With `--check` nothing is written; a file that
//! is missing, stale or left over is an error.
//!
//! `mvccpb.KeyValue` is generated twice over: wherever it is a *field* it becomes `ferretcd_api_proto::EncodedKeyValue`,
//! so that stored rows go into responses as they are, and apart from that it is a plain struct. `TxnRequest` is written
//! by hand, so that reading one takes the same stack however deep transactions are nested in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protox::prost_reflect::prost_types::DescriptorProto;
use tonic_prost_build::FileDescriptorSet;

use crate::{TaskResult, workspace_root};

/// Folders of `proto/` that exist only to be imported: no Rust code comes from them.
const IMPORT_ONLY: &str = "google/";
const ROW_MESSAGE: &str = "KeyValue";
const ROW_FILE: &str = "mvccpb/kv.proto";
/// The message that is written by hand, because it contains itself.
const TXN_MESSAGE: &str = ".etcdserverpb.TxnRequest";

const SERVICES_ONLY: &str = r#"#[cfg(feature = "services")]"#;
const LENIENT: &str = r#"#[expect(clippy::allow_attributes, reason = "the generator writes them")]"#;

/// What the target folder should hold: file names and contents.
type Files = BTreeMap<String, Vec<u8>>;

/// Generates the code, or with `--check` compares it with what is checked in.
pub(crate) fn run(options: &[&str]) -> TaskResult {
    let root = workspace_root();
    let target = root.join("crates/api-proto/src/generated");
    let files = generate(&root.join("proto"))?;
    match options {
        [] => write(&target, &files),
        ["--check"] => check(&target, &files),
        _ => Err("usage: cargo xtask codegen [--check]".into()),
    }
}

fn generate(proto: &Path) -> Result<Files, Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new([proto])?;
    compiler.include_imports(true).open_files(proto_files(proto)?)?;
    let descriptor = compiler.encode_file_descriptor_set();
    let mut set = compiler.include_source_info(true).file_descriptor_set();
    set.file.retain(|file| !file.name().starts_with(IMPORT_ONLY));
    set.file.iter_mut().flat_map(|file| &mut file.message_type).for_each(respell_fields);

    let mut files = rust_files(rows_only(&set), |builder| builder)?;
    let row = files.remove("mvccpb.rs").expect("the row message belongs to this package");
    files.extend(rust_files(set, |builder| {
        builder
            .extern_path(format!(".mvccpb.{ROW_MESSAGE}"), "crate::EncodedKeyValue")
            .extern_path(TXN_MESSAGE, "crate::etcdserverpb::TxnRequest")
    })?);
    files.insert("mvccpb.key_value.rs".to_owned(), row);
    files.insert("descriptor.bin".to_owned(), descriptor);
    Ok(files)
}

/// All proto files below `folder`, in a fixed order.
fn proto_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Makes `peerURLs` come out as `peer_urls`; the snake case of the schema's own spelling would be `peer_ur_ls`.
/// Names are not on the wire, and the descriptor that is written keeps the schema's.
fn respell_fields(message: &mut DescriptorProto) {
    for field in &mut message.field {
        field.name = Some(field.name().replace("URLs", "Urls"));
    }
    message.nested_type.iter_mut().for_each(respell_fields);
}

/// The set reduced to the message that is also a stored row.
fn rows_only(set: &FileDescriptorSet) -> FileDescriptorSet {
    let mut file = set.file.iter().find(|file| file.name() == ROW_FILE).expect("proto/ has the rows").clone();
    // The message is the first of its file, so comments, which are found by position, still fit.
    file.message_type.truncate(1);
    assert_eq!(file.message_type[0].name(), ROW_MESSAGE);
    FileDescriptorSet { file: vec![file] }
}

fn rust_files(
    set: FileDescriptorSet,
    adjust: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
) -> std::io::Result<Files> {
    let out = tempfile::tempdir()?;
    let builder = tonic_prost_build::configure()
        .out_dir(out.path())
        .emit_rerun_if_changed(false)
        .bytes(".")
        .codec_path("crate::MessageCodec")
        .client_mod_attribute(".", SERVICES_ONLY)
        .server_mod_attribute(".", SERVICES_ONLY)
        .server_mod_attribute(".", LENIENT);
    adjust(builder).compile_fds(set)?;
    read_folder(out.path())
}

fn read_folder(folder: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    Ok(files)
}

fn write(target: &Path, files: &Files) -> TaskResult {
    fs::create_dir_all(target)?;
    for (name, content) in files {
        fs::write(target.join(name), content)?;
    }
    for left_over in read_folder(target)?.keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(target.join(left_over))?;
    }
    Ok(())
}

fn check(target: &Path, files: &Files) -> TaskResult {
    let present = read_folder(target)?;
    let stale: Vec<String> = files
        .keys()
        .chain(present.keys().filter(|name| !files.contains_key(*name)))
        .filter(|name| files.get(*name) != present.get(*name))
        .map(|name| format!("crates/api-proto/src/generated/{name} differs from what proto/ gives"))
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nrun `cargo xtask codegen`", stale.join("\n")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, &str)]) -> Files {
        names.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
    }

    #[test]
    fn checked_in_code_is_up_to_date() {
        run(&["--check"]).expect("`cargo xtask codegen` was run after the last change of proto/");
    }

    #[test]
    fn check_names_each_file_that_differs_and_write_repairs_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files(&[("same.rs", "1"), ("changed.rs", "1"), ("left_over.rs", "1")]))
            .unwrap();
        let wanted = files(&[("same.rs", "1"), ("changed.rs", "2"), ("missing.rs", "1")]);

        let message = check(folder.path(), &wanted).unwrap_err().to_string();
        for name in ["changed.rs", "left_over.rs", "missing.rs", "run `cargo xtask codegen`"] {
            assert!(message.contains(name), "{name} is not in: {message}");
        }
        assert!(!message.contains("same.rs"), "{message}");

        write(folder.path(), &wanted).unwrap();
        check(folder.path(), &wanted).unwrap();
    }

    #[test]
    fn unknown_options_are_rejected() {
        assert!(run(&["--chekc"]).is_err());
    }
}
