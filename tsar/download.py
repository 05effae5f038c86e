"""Download one file by URL and sha256, resuming what an interrupted run left."""

from __future__ import annotations

import hashlib
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)
CHUNK = 1 << 18


def fetch(url: str, sha256: str, path: Path, *, timeout: float = 30.0) -> Path:
    """Return `path`, downloaded from `url` unless it is there.

    What arrives is kept in `path` + ".part" until it is complete and its hash is right, then moved in one step: `path`
    is never half a file, and the next call goes on where an interrupted one stopped.

    Parameters
    ----------
    url : str
        http or https address.
    sha256 : str
        Hash of the whole file, in hex.
    path : Path
        Where the file goes; its folder is made.
    timeout : float, default 30
        Seconds without an answer after which the server counts as gone.

    Raises
    ------
    FileNotFoundError
        If the server has no such file.
    ConnectionError
        If the server cannot be reached, answers with another error, or stops in the middle.
    ValueError
        If the file is complete and its hash is another one; the download is deleted.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if not (part.exists() and file_sha256(part) == sha256):
        _receive(url, part, timeout)
    if (found := file_sha256(part)) != sha256:
        part.unlink()
        raise ValueError(f"{url}: expected sha256 {sha256}, found {found}; the download was deleted")
    os.replace(part, path)
    return path


def file_sha256(path: Path) -> str:
    """Hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url: str, part: Path, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            resumed = answer.status == 206  # a server that ignores the range sends everything again, with 200
            log.info("%s %s from byte %d", "resuming" if resumed else "downloading", url, have if resumed else 0)
            with part.open("ab" if resumed else "wb") as file:
                expected, received = answer.headers.get("Content-Length"), _copy(answer, file)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond what is here, and the hash was wrong: start over next time
            part.unlink()
            raise ConnectionError(
                f"{url}: the partial download does not fit the file and was deleted; try again"
            ) from None
        if error.code in (404, 410):
            raise FileNotFoundError(f"{url}: the server has no such file (HTTP {error.code})") from None
        raise ConnectionError(f"{url}: the server answered HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ConnectionError(f"{url}: {getattr(error, 'reason', error)}") from None
    if expected is not None and received != int(expected):
        raise ConnectionError(f"{url}: {received} of {expected} bytes arrived; the next call resumes there")


def _copy(answer: BinaryIO, file: BinaryIO) -> int:
    total = 0
    while chunk := answer.read(CHUNK):
        total += file.write(chunk)
    return total
