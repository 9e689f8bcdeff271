"""Real servers on loopback for sources that are not local: S3 (moto) and HTTP with ranges."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def s3_server():
    """A real S3 server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"127.0.0.1:{port}"
    server.stop()


class Bucket:
    """An empty bucket, written to by Amazon's own client."""

    def __init__(self, address: str, client) -> None:
        self.address = address
        self.client = client
        self.options = f"endpoint_override={address}&scheme=http&region=us-east-1"

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket="bucket", Key=key, Body=body)

    def uri(self, path: str, user: str = "") -> str:
        return f"s3://{user}bucket/{path}?{self.options}"


@pytest.fixture
def bucket(s3_server, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3", endpoint_url=f"http://{s3_server}", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    yield Bucket(s3_server, client)
    listed = client.list_objects_v2(Bucket="bucket").get("Contents", [])
    for entry in listed:
        client.delete_object(Bucket="bucket", Key=entry["Key"])
    client.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a directory, with ranges and ETags; its indexes list names as links."""

    protocol_version = "HTTP/1.1"
    ranges = True
    seen: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.seen.append(f"{self.command} {self.path} {self.headers.get('Range')}")
        path = Path(self.translate_path(self.path))
        if "forbidden" in self.path:
            self.send_error(403)
            return
        if path.is_dir():
            data = "".join(f'<a href="{p.name}{"/" * p.is_dir()}">x</a>' for p in path.iterdir())
            content = data.encode()
        elif path.is_file():
            content = path.read_bytes()
        else:
            self.send_error(404)
            return
        size = len(content)
        wanted = self.headers.get("Range")
        if wanted and self.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1, size) if last else size
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{size}")
            content = content[int(first) : stop]
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def web(tmp_path):
    """A real HTTP server with the files of ``tmp_path / "web"``."""
    (tmp_path / "web").mkdir()
    handler = type("Here", (Handler,), {"seen": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args: handler(*args, directory=str(tmp_path / "web"))
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.root = tmp_path / "web"
    server.handler = handler
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)
    fsspec.filesystem("http").clear_instance_cache()
