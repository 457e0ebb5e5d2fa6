//! Generated code of the `dejima.v1` package, and its descriptor for reflection.
//!
//! The `.proto` files beside this crate are the documentation: their comments are the docstrings here.

/// Messages, clients and servers of package `dejima.v1`.
pub mod v1 {
    // Generated code: prost copies the comments of the .proto files, which not every item has.
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("dejima.v1");
}

/// The encoded `FileDescriptorSet` of the package, as the reflection service wants it.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
