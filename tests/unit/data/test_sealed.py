"""Sealed texts: what went in comes out, and no single change goes unseen."""

import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from doseloop import resources

sealed = resources.firmware_module("sealed")


def test_by_hand():
    # CRC-32 of "123456789" is cbf43926: the check value of the CRC-32 catalogue.
    assert sealed.seal("order", 1, "123456789") == "doseloop order 1 cbf43926\n123456789\n"
    assert sealed.unseal("order", 1, "doseloop order 1 cbf43926\n123456789\n") == "123456789"


@given(st.text())
def test_round_trip(text):
    assume(not any(0xD800 <= ord(char) <= 0xDFFF for char in text))
    whole = sealed.seal("config", 7, text)
    assert sealed.unseal("config", 7, whole) == text
    assert f"{zlib.crc32(text.encode()):08x}" in whole


@given(st.text(alphabet="ab{}:,\n", max_size=40), st.data())
def test_every_cut_and_every_changed_character_is_refused(text, data):
    whole = sealed.seal("config", 1, text)
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(sealed.SealError):
        sealed.unseal("config", 1, whole[:at])
    char = data.draw(st.sampled_from("ab0 \n").filter(lambda char: char != whole[at]))
    with pytest.raises(sealed.SealError):
        sealed.unseal("config", 1, whole[:at] + char + whole[at + 1 :])


@pytest.mark.parametrize(
    ("kind", "version", "code"),
    [("order", 1, "E_KIND"), ("config", 2, "E_VERSION"), ("config", 0, "E_VERSION")],
)
def test_a_mix_up_is_named(kind, version, code):
    with pytest.raises(sealed.SealError) as caught:
        sealed.unseal(kind, version, sealed.seal("config", 1, "{}"))
    assert caught.value.code == code
