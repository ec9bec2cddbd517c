"""MicroPython images: checked before anything is copied, copied only to an RP2040 in BOOTSEL."""

import struct

import pytest

from doseloop.errors import FileError, NoPump, VersionMismatch
from doseloop.flash import uf2

BANNER = b"MicroPython v1.28.0 on 2026-04-06; Raspberry Pi Pico with RP2040\r\n"
INFO = "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"


def block(index: int, count: int, payload: bytes, family: int = uf2.FAMILY_RP2040) -> bytes:
    # eight words, 476 bytes of data, one word: 32 + 476 + 4 = 512
    head = struct.pack(
        "<8I",
        0x0A324655,
        0x9E5D5157,
        0x2000,
        0x10000000 + 256 * index,
        256,
        index,
        count,
        family,
    )
    return head + payload.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def image(text: bytes = BANNER, family: int = uf2.FAMILY_RP2040) -> bytes:
    # The banner straddles two blocks, as it may in a real image.
    flash = b"\0" * 240 + text
    flash = flash.ljust(512, b"\0")
    return block(0, 2, flash[:256], family) + block(1, 2, flash[256:], family)


def board(folder, info=INFO):
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(info)
    return folder


def test_image_is_read_and_its_version_found_across_blocks(tmp_path):
    file = tmp_path / "a.uf2"
    file.write_bytes(image())
    read = uf2.read_image(file)
    assert (read.blocks, read.version) == (2, "1.28.0")
    uf2.check_version(read)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not whole UF2 blocks"),
        (image()[:-1], "not whole UF2 blocks"),
        (b"\0" * 512, "block 0 is not a UF2 block"),
        (image()[:-4] + b"\0" * 4, "block 1 is not a UF2 block"),
        (image(family=0xE48BFF59), "another chip"),
        (block(5, 2, b""), "damaged"),
    ],
)
def test_a_bad_image_is_refused_by_name(tmp_path, data, why):
    file = tmp_path / "bad.uf2"
    file.write_bytes(data)
    with pytest.raises(FileError, match=why) as bad:
        uf2.read_image(file)
    assert bad.value.exit_code == 2
    assert "bad.uf2" in bad.value.message


@pytest.mark.parametrize(
    "text", [BANNER.replace(b"28", b"27"), BANNER.replace(b".0 ", b".0-preview.3 "), b""]
)
def test_another_micropython_is_a_version_mismatch(tmp_path, text):
    file = tmp_path / "other.uf2"
    file.write_bytes(image(text))
    with pytest.raises(VersionMismatch, match="needs 1.28.0"):
        uf2.check_version(uf2.read_image(file))


def test_the_one_board_in_bootsel_is_found(tmp_path):
    other = tmp_path / "CAMERA"
    other.mkdir()
    pico = board(tmp_path / "RPI-RP2")
    newer = board(tmp_path / "RP2350", INFO.replace("RPI-RP2", "RP2350"))
    assert uf2.find_bootsel([other, pico, newer, tmp_path / "gone"]) == pico


def test_none_or_two_boards_are_named_not_guessed(tmp_path):
    with pytest.raises(NoPump, match="no board in BOOTSEL") as none:
        uf2.find_bootsel([tmp_path])
    assert none.value.exit_code == 3
    with pytest.raises(NoPump, match="2 boards"):
        uf2.find_bootsel([board(tmp_path / "a"), board(tmp_path / "b")])


def test_copy_writes_every_byte_and_tells_how_many(tmp_path):
    file = tmp_path / "a.uf2"
    file.write_bytes(image())
    pico = board(tmp_path / "RPI-RP2")
    told = []
    uf2.copy(uf2.read_image(file), pico, told.append)
    assert (pico / "firmware.uf2").read_bytes() == image()
    assert sum(told) == 1024
