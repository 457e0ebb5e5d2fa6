//! Compiles the .proto files in pure Rust, so that no protoc is needed on the machine.

use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 5] = [
    "dejima/v1/detect_groups.proto",
    "dejima/v1/propagate_update.proto",
    "dejima/v1/ack_termination.proto",
    "dejima/v1/callback.proto",
    "dejima/v1/operator.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=dejima");
    let files = protox::compile(PROTOS, ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
