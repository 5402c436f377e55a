#!/bin/sh
# Stands in for protoc while `umadb-client` is built: protox, which is Rust alone, takes the same
# arguments. It is installed into the target folder the first time, in about half a minute.
set -eu

version=0.10.0
# A build script is told OUT_DIR: target/PROFILE/build/PACKAGE-HASH/out.
root=${OUT_DIR:?only the build script of umadb-proto runs this}/../../../../protox-$version
program=$root/bin/protox

if [ ! -x "$program" ]; then
    CARGO_TARGET_DIR=$root/target CARGO_PROFILE_DEV_DEBUG=0 "${CARGO:-cargo}" install protox \
        --version "$version" --features bin --locked --debug --quiet --root "$root" >&2
    rm -rf "$root/target"
fi
exec "$program" "$@"
