"""`make uf2`, against a server of our own: nothing here reaches the network."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from unit.flash.test_uf2 import BANNER, image

from doseloop.cli.uf2 import uf2 as verb
from doseloop.errors import FileError, LinkError, UsageError, VersionMismatch
from doseloop.flash import fetch
from doseloop.flash.build import MICROPYTHON_VERSION
from doseloop.sim.emulated import image as images

IMAGE = image()
DIGEST = hashlib.sha256(IMAGE).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


class Server:
    """A web server whose one file is `data`; it breaks off after `cut` bytes of a reply."""

    def __init__(self) -> None:
        self.data: bytes | None = IMAGE
        self.cut: int | None = None
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}/firmware"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append((handler.path, wanted))
        if self.data is None:
            handler.send_error(404)
            return
        start = 0
        if wanted is not None and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.data):
                handler.send_error(416)
                return
        rest = self.data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest if self.cut is None else rest[: self.cut])

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class Desk:
    """Where the image goes, and the repository's file of hashes."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.target = folder / "cache" / "image.uf2"
        self.hashes = folder / "micropython.sha256"
        self.server = server

    def fetch(self, confirmed: str | None = None) -> str:
        return fetch.fetch(
            self.target, confirmed=confirmed, server=self.server.address, hashes=self.hashes
        )

    def know(self, digest: str) -> None:
        self.hashes.write_text(f"# compared by two people\n\n{digest}  {fetch.official_name()}\n")

    def beside(self, suffix: str) -> Path:
        return self.target.with_name(self.target.name + suffix)

    def files(self) -> list[str]:
        return sorted(file.name for file in self.target.parent.iterdir())


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Desk:
    return Desk(tmp_path, server)


def test_the_pinned_version_has_a_release_day() -> None:
    # As the download page lists it: micropython.org/download/RPI_PICO/
    assert fetch.official_name("1.28.0") == "RPI_PICO-20260406-v1.28.0.uf2"
    assert MICROPYTHON_VERSION in fetch.RELEASED
    with pytest.raises(UsageError, match=r"9\.9\.9"):
        fetch.official_name("9.9.9")


def test_a_known_hash_is_compared_and_the_image_kept(desk: Desk) -> None:
    desk.know(DIGEST)
    seen: list[tuple[int, int | None]] = []
    digest = fetch.fetch(
        desk.target,
        server=desk.server.address + "/",
        hashes=desk.hashes,
        progress=lambda have, total: seen.append((have, total)),
    )
    assert digest == DIGEST
    assert desk.target.read_bytes() == IMAGE
    assert desk.files() == ["image.uf2"]
    assert desk.server.asked == [(f"/firmware/{fetch.official_name()}", None)]
    assert seen[0] == (0, 1024) and seen[-1] == (1024, 1024)

    assert desk.fetch() == DIGEST, "again: nothing to do"
    assert len(desk.server.asked) == 1


def test_without_a_known_hash_a_person_must_confirm(desk: Desk) -> None:
    with pytest.raises(fetch.Unconfirmed) as stop:
        desk.fetch()
    assert stop.value.exit_code == 2
    assert DIGEST in stop.value.message
    assert stop.value.next is not None and f"make uf2 SHA256={DIGEST}" in stop.value.next
    assert desk.files() == ["image.uf2.unconfirmed"]
    assert not desk.hashes.exists()

    assert desk.fetch(DIGEST.upper()) == DIGEST
    assert desk.files() == ["image.uf2"]
    assert fetch.known_hash(fetch.official_name(), desk.hashes) == DIGEST
    assert len(desk.server.asked) == 1, "what was there is not downloaded again"

    assert desk.fetch() == DIGEST, "and now the hash is known"


def test_an_empty_file_of_hashes_confirms_nothing(desk: Desk) -> None:
    desk.hashes.write_text("")
    with pytest.raises(fetch.Unconfirmed):
        desk.fetch()


@pytest.mark.parametrize("known", [True, False])
def test_another_hash_is_refused_and_put_aside(desk: Desk, known: bool) -> None:
    if known:
        desk.know(OTHER)
    with pytest.raises(FileError, match=f"{DIGEST}, not {OTHER}") as refused:
        desk.fetch(None if known else OTHER)
    assert refused.value.code == "E_UF2_HASH"
    assert desk.files() == ["image.uf2.rejected"]
    assert desk.hashes.exists() == known


def test_a_person_does_not_overrule_the_repository(desk: Desk) -> None:
    desk.know(DIGEST)
    with pytest.raises(UsageError, match=DIGEST):
        desk.fetch(OTHER)
    assert desk.server.asked == []


@pytest.mark.parametrize("text", ["abc", "g" * 64, DIGEST + "0"])
def test_a_mistyped_hash_is_no_hash(desk: Desk, text: str) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal"):
        desk.fetch(text)


def test_a_damaged_file_of_hashes_is_named(desk: Desk) -> None:
    desk.hashes.write_text("nonsense\n")
    with pytest.raises(FileError, match=r"micropython\.sha256"):
        desk.fetch()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_ended(desk: Desk, ranges: bool) -> None:
    desk.know(DIGEST)
    desk.server.cut, desk.server.ranges = 700, ranges
    with pytest.raises(LinkError, match="after 700 of 1024"):
        desk.fetch()
    assert desk.files() == ["image.uf2.part"]

    desk.server.cut = None
    assert desk.fetch() == DIGEST
    assert desk.server.asked[-1][1] == "bytes=700-"
    assert desk.target.read_bytes() == IMAGE
    assert desk.files() == ["image.uf2"]


def test_a_part_longer_than_the_file_is_begun_again(desk: Desk) -> None:
    desk.know(DIGEST)
    desk.target.parent.mkdir()
    desk.beside(".part").write_bytes(bytes(5000))
    assert desk.fetch() == DIGEST


def test_a_broken_download_costs_no_image_that_is_there(desk: Desk) -> None:
    desk.know(DIGEST)
    desk.fetch()
    desk.server.data = None
    assert desk.fetch() == DIGEST
    assert desk.target.read_bytes() == IMAGE


def test_a_file_the_server_has_not(desk: Desk) -> None:
    desk.server.data = None
    with pytest.raises(LinkError, match="404") as error:
        desk.fetch()
    assert error.value.next is not None
    assert fetch.PAGE in error.value.next and "--uf2" in error.value.next


def test_a_server_that_is_not_there(desk: Desk) -> None:
    desk.server.close()
    with pytest.raises(LinkError, match="refused") as error:
        desk.fetch()
    assert error.value.exit_code == 4
    assert not desk.target.exists()


def test_an_address_that_is_none(desk: Desk) -> None:
    with pytest.raises(UsageError, match="web server"):
        fetch.fetch(desk.target, server="/tmp", hashes=desk.hashes)


def test_another_micropython_is_refused(desk: Desk) -> None:
    desk.server.data = image(BANNER.replace(b"28", b"27"))
    with pytest.raises(VersionMismatch, match=r"holds MicroPython 1\.27\.0"):
        desk.fetch()
    assert desk.files() == ["image.uf2.rejected"]


@pytest.mark.parametrize("data", [b"<html>moved</html>", IMAGE[:-4] + bytes(4)])
def test_what_is_no_image_is_refused(desk: Desk, data: bytes) -> None:
    desk.server.data = data
    with pytest.raises(FileError) as error:
        desk.fetch()
    assert error.value.code == "E_UF2"
    assert desk.files() == ["image.uf2.rejected"]


def test_the_command_says_what_to_do_and_ends_with_2(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "hashes_file", lambda: desk.hashes)
    first = CliRunner().invoke(verb, ["--server", desk.server.address])
    assert first.exit_code == 2
    assert first.stdout == ""
    assert f"make uf2 SHA256={DIGEST}" in first.stderr
    assert not images.cached().exists()

    second = CliRunner().invoke(verb, ["--server", desk.server.address, "--sha256", DIGEST])
    assert (second.exit_code, second.stdout) == (0, f"{images.cached()}\n")
    assert images.cached().read_bytes() == IMAGE
