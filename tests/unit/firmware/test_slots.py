"""Two files that take turns: the old text or the new one, and damage is never passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware.bench import Storage

from doseloop import resources

sealed = resources.firmware_module("sealed")
slots = resources.firmware_module("slots")


def kept(storage, version=1):
    return slots.Slots(storage, "t", version)


def test_the_files_take_turns_by_hand():
    storage = Storage()
    one = kept(storage)
    assert one.read() is None
    one.write("first")
    assert storage.files == {"t.a": slots.pack("t", 1, 1, "first")}
    one.write("second")
    one.write("third")
    assert storage.files == {
        "t.a": slots.pack("t", 1, 3, "third"),
        "t.b": slots.pack("t", 1, 2, "second"),
    }
    assert kept(storage).read() == "third"


@given(st.lists(st.text(max_size=20), max_size=6), st.booleans())
def test_what_was_written_last_is_read(texts, again):
    storage = Storage()
    one = kept(storage)
    for text in texts:
        if again:
            one = kept(storage)  # a boot in between; it may write before it reads
        one.write(text)
    assert kept(storage).read() == (texts[-1] if texts else None)


def test_a_cut_write_leaves_the_text_before():
    storage = Storage()
    one = kept(storage)
    one.write("old")
    storage.files["t.b"] = ""  # littlefs makes the file first, then fills it
    assert kept(storage).read() == "old"
    kept(storage).write("new")
    assert kept(storage).read() == "new"


def test_a_failing_flash_leaves_the_text_before_and_no_wreck():
    class Half(Storage):
        def write(self, name, text):
            self.files[name] = text[: len(text) // 2] if self.failing else text
            if self.failing:
                raise OSError(28)

    storage = Half()
    one = kept(storage)
    one.write("old")
    one.write("new")
    storage.failing = True
    with pytest.raises(OSError):
        one.write("lost")
    assert kept(storage).read() == "new"
    storage.failing = False
    one.write("kept")
    assert kept(storage).read() == "kept"


@pytest.mark.parametrize("wreck", [lambda s: s[:-2], lambda s: s.replace("w", "v"), lambda s: "x"])
@pytest.mark.parametrize("newest", [True, False])
def test_damage_is_said_not_passed_over(wreck, newest):
    storage = Storage()
    one = kept(storage)
    one.write("old wine")
    one.write("new wine")
    name = "t.b" if newest else "t.a"
    storage.files[name] = wreck(storage.files[name])
    for _ in range(2):
        with pytest.raises(sealed.SealError):
            kept(storage).read()
    kept(storage).write("after")  # whoever has been told writes anew
    assert kept(storage).read() == "after"


def test_both_damaged_and_written_anew():
    storage = Storage()
    storage.files = {"t.a": "x", "t.b": "y"}
    one = kept(storage)
    one.write("after")
    assert kept(storage).read() == "after"
    one.write("later")
    assert kept(storage).read() == "later"


def test_another_version_and_a_missing_generation_are_damage():
    storage = Storage()
    kept(storage, 2).write("newer")
    with pytest.raises(sealed.SealError) as caught:
        kept(storage).read()
    assert caught.value.code == "E_VERSION"
    storage.files = {"t.a": sealed.seal("t", 1, "no number")}
    with pytest.raises(sealed.SealError):
        kept(storage).read()
