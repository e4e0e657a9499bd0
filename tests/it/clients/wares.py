"""Lays out what package managers fetch, below the folder that an origin serves: npm, crates, Go modules, Debian packages, Maven, container images."""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile
import zipfile

root = pathlib.Path(sys.argv[1])


def write(path, content):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


def digest(content):
    return hashlib.sha256(content).hexdigest()


# {{ORIGIN}} is what the request came for.
package = {"name": "exeat-hello", "version": "1.0.0", "dist": {"tarball": "{{ORIGIN}}/npm/exeat-hello.tgz"}}
write("npm/exeat-hello", json.dumps({"name": "exeat-hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": package}}))
write("npm/exeat-hello.tgz", archive({"package/package.json": json.dumps({"name": "exeat-hello", "version": "1.0.0"})}))

manifest = '[package]\nname = "exeat-hello"\nversion = "1.0.0"\nedition = "2021"\n'
crate = archive({"exeat-hello-1.0.0/Cargo.toml": manifest, "exeat-hello-1.0.0/src/lib.rs": ""})
write("cargo/config.json", json.dumps({"dl": "{{ORIGIN}}/cargo/dl/{crate}-{version}.crate"}))
write("cargo/dl/exeat-hello-1.0.0.crate", crate)
line = {"name": "exeat-hello", "vers": "1.0.0", "deps": [], "cksum": digest(crate), "features": {}, "yanked": False}
write("cargo/ex/ea/exeat-hello", json.dumps(line) + "\n")

module = io.BytesIO()
with zipfile.ZipFile(module, "w") as bundle:
    bundle.writestr("example.test/hello@v1.0.0/go.mod", "module example.test/hello\n")
    bundle.writestr("example.test/hello@v1.0.0/hello.go", "package hello\n")
write("go/example.test/hello/@v/v1.0.0.info", json.dumps({"Version": "v1.0.0", "Time": "2026-01-01T00:00:00Z"}))
write("go/example.test/hello/@v/v1.0.0.mod", "module example.test/hello\n")
write("go/example.test/hello/@v/v1.0.0.zip", module.getvalue())

packages = f"Package: exeat-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@example.test>\nFilename: ./exeat-hello.deb\nSize: 1\nSHA256: {'0' * 64}\n\n"
write("apt/Packages", packages)
release = f"Suite: ./\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest(packages.encode())} {len(packages)} Packages\n"
write("apt/Release", release)

project = '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
parent = project + "<groupId>test.example</groupId><artifactId>parent</artifactId><version>1.0</version><packaging>pom</packaging></project>"
write("maven/test/example/parent/1.0/parent-1.0.pom", parent)
write("maven/test/example/parent/1.0/parent-1.0.pom.sha1", hashlib.sha1(parent.encode()).hexdigest())

layer = archive({"hello": "hello\n"})
config = json.dumps({
    "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(gzip.decompress(layer))]},
})
docker = "application/vnd.docker."
image = json.dumps({
    "schemaVersion": 2,
    "mediaType": docker + "distribution.manifest.v2+json",
    "config": {"mediaType": docker + "container.image.v1+json", "size": len(config), "digest": "sha256:" + digest(config.encode())},
    "layers": [{"mediaType": docker + "image.rootfs.diff.tar.gzip", "size": len(layer), "digest": "sha256:" + digest(layer)}],
})
write("v2/index.html", "{}")
write("v2/hello/manifests/1", image)
write("v2/hello/blobs/sha256:" + digest(config.encode()), config)
write("v2/hello/blobs/sha256:" + digest(layer), layer)
