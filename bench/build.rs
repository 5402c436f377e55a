//! Makes the stubs of the echo service, without a compiler of protobuf: its messages are written
//! in Rust (`src/peer/echo/message.rs`).

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_ECHO").is_some() {
        Builder::new().compile(&[service()]);
    }
}

fn service() -> Service {
    let append = method("append", "Append", "AppendRequest", "AppendResponse");
    let stream = method("append_stream", "AppendStream", "AppendRequest", "AppendResponse");
    let read = method("read", "Read", "ReadRequest", "ReadResponse");
    Service::builder()
        .name("Echo")
        .package("echo.v1")
        .method(append.build())
        .method(stream.client_streaming().server_streaming().build())
        .method(read.server_streaming().build())
        .build()
}

fn method(
    name: &str,
    route: &str,
    request: &str,
    response: &str,
) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::peer::echo::message::{request}"))
        .output_type(format!("crate::peer::echo::message::{response}"))
        .codec_path("tonic_prost::ProstCodec")
}
