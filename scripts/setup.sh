#!/usr/bin/env bash
# Puts DuckDB's official prebuilt library into .duckdb/, where .cargo/config.toml tells the build to look for it.
# Does nothing when it is there already. Compiling DuckDB instead takes the better part of an hour.
set -euo pipefail
cd "$(dirname "$0")/.."

release=1.5.6-r.1

# Where the build takes the library from when told so by hand is nothing to set up.
if [[ -n ${DUCKDB_LIB_DIR:-} ]]; then
    for library in "$DUCKDB_LIB_DIR"/libduckdb.{so,dylib,a}; do
        [[ -e $library ]] && echo "Using $library, as DUCKDB_LIB_DIR says." && exit 0
    done
    echo "error: DUCKDB_LIB_DIR is $DUCKDB_LIB_DIR, and there is no libduckdb in it" >&2
    exit 1
fi

# archive: SHA-512 of the npm package (what npm calls its integrity, in hex). library: SHA-256 of the file in it.
case "$(uname -s)-$(uname -m)" in
Linux-x86_64)
    platform=linux-x64 name=libduckdb.so
    archive=21772b64913a904a8cd19e30c1d5671811d7fdface4b7dd53cd0300d743f43e16cf386f4e7c41ef78721ac208870d2651bc6375072145387817824315b998dd5
    library=3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633
    ;;
Linux-aarch64 | Linux-arm64)
    platform=linux-arm64 name=libduckdb.so
    archive=de39d46838a5d41ac5ffabc067055a227275c6805a5861c1e0f0e2527cc958a0a8f1af132f1f63eff80fc8f97f5064417edad822e4e28516527c5e2658c82d58
    library=23686593dba4ec22c6e581bb1c843b3964e84c4bc4d0063d8b4daddd2e20e30a
    ;;
Darwin-x86_64)
    platform=darwin-x64 name=libduckdb.dylib
    archive=b55c1464dbdd42868f261ae1dead9eea3c66d4c85a84d1c940afe9bc2c9ca38e8d5f4984b86ce5c3d8b49f6300ae0b32cdc71d0b049c38af5cb5bcabfb7a0c6d
    library=75a519cb914ae36ca22cff0995a8a2e8c9a46990b8c0a479514f741a0d93f344
    ;;
Darwin-arm64)
    platform=darwin-arm64 name=libduckdb.dylib
    archive=2854ff27fa72a2eb800f58dfb4021f716551768ae0f9cff2551fc124bf0b24aad24fe9980b877b412b90fa25d261b1691c435401e6546a05eb30fb594fc5f3b2
    library=75a519cb914ae36ca22cff0995a8a2e8c9a46990b8c0a479514f741a0d93f344
    ;;
*)
    echo "error: DuckDB publishes no library for $(uname -s) on $(uname -m)." >&2
    echo "Build with 'cargo build --features bundled', which compiles DuckDB (about an hour)." >&2
    exit 1
    ;;
esac

# digest BITS FILE
digest() {
    if command -v sha256sum >/dev/null; then
        "sha$1sum" <"$2" | cut -d' ' -f1
    else
        shasum -a "$1" <"$2" | cut -d' ' -f1
    fi
}

if [[ -e .duckdb/$name && $(digest 256 ".duckdb/$name") == "$library" ]]; then
    exit 0
fi

if ! command -v npm >/dev/null; then
    cat >&2 <<MESSAGE
error: npm is missing, and DuckDB's prebuilt library is fetched with it. One of these helps:
  - install npm (Debian, Ubuntu: apt-get install npm; macOS: brew install node), then 'make setup' again
  - put $name of DuckDB 1.5.6 into a folder and name that folder in DUCKDB_LIB_DIR
  - build with 'cargo build --features bundled', which compiles DuckDB (about an hour)
MESSAGE
    exit 1
fi

mkdir -p .duckdb
# Beside its destination, so that the last step is a rename: nobody ever sees half a library.
work=$(mktemp -d .duckdb/.setup-XXXXXX)
trap 'rm -rf "$work"' EXIT

echo "Fetching DuckDB's library for $platform (about 25 MB, 40 MB on macOS) ..." >&2
npm pack --silent --pack-destination "$work" "@duckdb/node-bindings-$platform@$release" >/dev/null
package=$(echo "$work"/*.tgz)
if [[ $(digest 512 "$package") != "$archive" ]]; then
    echo "error: the package fetched for $platform is not the one this version was built with; nothing was installed" >&2
    exit 1
fi
tar -xzf "$package" -C "$work" "package/$name"
if [[ $(digest 256 "$work/package/$name") != "$library" ]]; then
    echo "error: $name in the package for $platform is not the expected file; nothing was installed" >&2
    exit 1
fi
mv -f "$work/package/$name" ".duckdb/$name"
echo "Installed .duckdb/$name (DuckDB 1.5.6)." >&2
