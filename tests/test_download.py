"""Downloads against a local HTTP server: whole, resumed, wrong hash, missing, cut short, no ranges."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tsar import download

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; the path says how: /whole, /cut (stops early), /norange, /error, anything else is 404."""

    asked: list[tuple[str, str | None]] = []

    def do_GET(self):
        kind, wanted = self.path.strip("/").split(".")[0], self.headers.get("Range")
        self.asked.append((kind, wanted))
        if kind not in ("whole", "cut", "norange"):
            self.send_error(500 if kind == "error" else 404)
            return
        start = int(wanted.split("=")[1].rstrip("-")) if wanted and kind != "norange" else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : 300_000 if kind == "cut" else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Server.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_file_is_downloaded_once(server, tmp_path):
    path = tmp_path / "new" / "file.bin"
    for _ in range(2):
        assert download.fetch(f"{server}/whole", SHA, path).read_bytes() == CONTENT
    assert Server.asked == [("whole", None)]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("second, asked", [("whole", "bytes=300000-"), ("norange", "bytes=300000-")])
def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path, second, asked):
    path = tmp_path / "file.bin"
    with pytest.raises(ConnectionError, match="300000 of 700000 bytes"):
        download.fetch(f"{server}/cut", SHA, path)
    assert not path.exists()
    assert download.fetch(f"{server}/{second}", SHA, path).read_bytes() == CONTENT
    assert Server.asked[-1] == (second, asked)


def test_a_complete_part_needs_no_server(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download.fetch(f"{server}/whole", SHA, tmp_path / "file.bin").read_bytes() == CONTENT
    assert Server.asked == []


def test_a_wrong_hash_is_deleted_and_named(server, tmp_path):
    with pytest.raises(ValueError, match=f"expected sha256 {'0' * 64}, found {SHA}"):
        download.fetch(f"{server}/whole", "0" * 64, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_part_longer_than_the_file_is_deleted(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    with pytest.raises(ConnectionError, match="try again"):
        download.fetch(f"{server}/whole", SHA, tmp_path / "file.bin")
    assert download.fetch(f"{server}/whole", SHA, tmp_path / "file.bin").read_bytes() == CONTENT


def test_servers_that_do_not_have_it(server, tmp_path):
    with pytest.raises(FileNotFoundError, match="404"):
        download.fetch(f"{server}/nothing", SHA, tmp_path / "file.bin")
    with pytest.raises(ConnectionError, match="500"):
        download.fetch(f"{server}/error", SHA, tmp_path / "file.bin")
    with pytest.raises(ConnectionError, match="refused"):
        download.fetch("http://127.0.0.1:9/file", SHA, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []
