//! Compiles `proto/` to Rust and to descriptors for reflection, without protoc.

use std::error::Error;
use std::path::PathBuf;

const ROOT: &str = "../../proto";
const FILES: [&str; 2] = ["evenkeel/admin/v1/broker.proto", "evenkeel/admin/v1/scheduler.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
