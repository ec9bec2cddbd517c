"""The drug library on flash: loaded as one; nothing but a whole, newer one replaces it."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, configuration, errors, library_module
from unit.firmware.drugs import (
    DRUG,
    ML,
    MORPHINE,
    ask,
    body_of,
    compact,
    library,
    load,
    loaded,
    plan,
    propose,
    seal,
    send,
)
from unit.firmware.test_confirm import refusal

SMALL = {"rate": ["volume", "", 1, 1, 2, 3, 10 * ML, 20 * ML]}
IN_FORCE = {"name": "Example", "version": 3}


def read(text, *which):
    return library_module.read(io.BytesIO(text.encode()), *which)


def infuse(rate=2 * ML, volume=ML):
    return {"mode": "infuse", "rate_al_per_h": rate, "volume_al": volume}


def shown(bench):
    return ask(bench, "library")["library"]


@pytest.mark.requirement("I6")
def test_a_library_by_hand():
    rows = '{"rate":["volume","",1,1,2,3,4,5]}'
    # The CRCs of "0 {…}" and "1 a b {…}" were computed with zlib.
    text = library({("a", "b"): json.loads(rows)})
    head, first, second, end = text.split("\n")
    assert head.startswith("doseloop library 1 ") and end == ""
    assert first[9:] == '{"name":"Example","version":3,"date":"2026-11-26","entries":1}'
    assert second[9:] == "a b " + rows
    found, entry, size = read(text, "a", "b")
    assert entry == json.loads(rows) and size == len(text)
    assert found == {**IN_FORCE, "date": "2026-11-26", "entries": 1, "crc": head[-8:]}
    assert read(text, "a", "c")[1] is None
    assert read(text)[0] == found


@pytest.mark.requirement("I8")
def test_it_is_proposed_and_confirmed():
    bench = Bench(configuration())
    assert shown(bench) is None
    text = library()
    reply = propose(bench, text)
    crc = text[19:27]
    assert reply["old"] is None
    assert reply["new"] == "Example, version 3 of 2026-11-26, 1 entries, " + crc
    assert shown(bench) is None  # nothing has changed yet
    assert ask(bench, "confirm", digest=reply["digest"]) == {"library_crc": crc}
    assert shown(bench) == {**IN_FORCE, "crc": crc}
    event = bench.events.since(0, 99)[-1]
    assert (event["e"], event["name"], event["version"], event["crc"]) == (
        "library", "Example", 3, crc,
    )  # fmt: skip
    again = bench.reboot()
    assert shown(again) == {**IN_FORCE, "crc": crc}
    whole = ""
    while len(whole) < len(text):
        page = ask(again, "library", offset=len(whole))
        assert page["size"] == len(text)
        whole += page["data"]
    assert whole == text


def test_a_newer_one_replaces_it_and_older_ones_never_do():
    bench = loaded()
    old = shown(bench)
    newer = propose(bench, library(version=4))
    assert newer["old"].startswith("Example, version 3") and "version 4" in newer["new"]
    for text in (library(version=2), library(version=3, entries={("a", "b"): MORPHINE})):
        assert refusal(propose, bench, text).code == "E_LIBRARY"
        assert shown(bench) == old
    # Another name is another library: nobody's newer version.
    assert refusal(propose, bench, library(name="Other", version=9)).code == "E_LIBRARY"
    load(bench, library())  # the same again does no harm
    assert shown(bench) == old
    load(bench, library(version=4))
    assert shown(bench)["version"] == 4
    # An administrator who wants the older one says so.
    assert "version 4" in propose(bench, library(version=2), replace=1)["old"]
    load(bench, library(version=2), replace=1)
    assert shown(bench)["version"] == 2 and shown(bench.reboot())["version"] == 2


def bad_ones(text, flips=(lambda char: chr(ord(char) ^ 1),)):
    """Yield texts that are none of a library: every character changed, every place cut."""
    for i, char in enumerate(text):
        for other in {flip(char) for flip in flips} - {char}:
            yield text[:i] + other + text[i + 1 :]
        yield text[:i]
    lines = text.splitlines(keepends=True)
    for i in range(len(lines) - 1):
        yield "".join(lines[:i] + [lines[i + 1], lines[i]] + lines[i + 2 :])
        yield "".join(lines[:i] + lines[i + 1 :])
    yield text + lines[-1]
    yield text + "x"


@pytest.mark.requirement("I6")
def test_damaged_cut_and_reordered_texts_are_none():
    text = library(dict.fromkeys((("a", "b"), ("a", "c"), ("ward", "b")), SMALL))
    read(text)
    count = 0
    flips = (lambda char: chr(ord(char) ^ 1), str.swapcase, lambda _: "\n", lambda _: "")
    for bad in bad_ones(text, flips):
        for which in ((), ("a", "b")):
            with pytest.raises(errors.Refused) as caught:
                read(bad, *which)
            assert caught.value.code == "E_LIBRARY"
        count += 1
    assert count > 1000


@pytest.mark.requirement("I6")
def test_none_of_them_changes_the_one_in_use():
    bench = loaded(library({("a", "b"): SMALL}, version=1))
    old, record = shown(bench), dict(bench.storage.files)
    for bad in bad_ones(library({("a", "b"): SMALL}, version=2)):
        if bad:
            assert refusal(propose, bench, bad).code in ("E_LIBRARY", "E_SIZE", "E_ARG")
        assert shown(bench) == old
    assert bench.controller.pending.digest is None
    kept = {name: text for name, text in bench.storage.files.items() if name != "drugs.b"}
    assert kept == record
    plan(bench, [infuse()], {"area": "a", "item": "b"})
    assert shown(bench.reboot()) == old


@pytest.mark.parametrize(
    "body",
    [
        ['{"name":"E","version":0,"date":"2026-11-26","entries":0}'],
        ['{"name":"","version":1,"date":"2026-11-26","entries":0}'],
        ['{"name":"\\u00e9","version":1,"date":"2026-11-26","entries":0}'],
        ['{"name":"E","version":1,"entries":0}'],
        ['{"name":"E","version":true,"date":"2026-11-26","entries":0}'],
        ["[]"],
        ["5"],
        ["{"],
        ['{"name":"E","version":1,"date":"2026-11-26","entries":2}', "a b " + compact(MORPHINE)],
        *(
            ['{"name":"E","version":1,"date":"2026-11-26","entries":1}', line]
            for line in ("", "a", "a b", "a b {}", "a b []", "A b " + compact(MORPHINE),
                         "a  " + compact(MORPHINE), "a" * 60 + " b " + compact(MORPHINE))
        ),
    ],
)  # fmt: skip
def test_whole_texts_that_make_no_sense(body):
    with pytest.raises(errors.Refused):
        read(seal(body_of(body)))


def test_entries_are_sorted_and_there_once():
    head = compact({"name": "E", "version": 1, "date": "2026-11-26", "entries": 2})
    for keys in (("a c", "a b"), ("a b", "a b")):
        lines = [head, *("%s %s" % (key, compact(MORPHINE)) for key in keys)]
        assert "line 4" in refusal(read, seal(body_of(lines))).message


def test_a_newer_schema_is_not_called_damaged():
    assert "schema 1" in refusal(read, seal(body_of(["{}"]), version=2)).message


numbers = st.lists(st.one_of(st.none(), st.integers(1, 20)), min_size=5, max_size=5)


@pytest.mark.requirement("I3")
@given(numbers)
def test_the_order_of_limits_is_checked_on_load(limits):
    given_ones = [limit for limit in limits if limit is not None]
    text = library({("a", "b"): {"rate": ["volume", "", 1, *limits]}})
    if given_ones and given_ones == sorted(given_ones):
        read(text)
    else:
        assert refusal(read, text).code == "E_LIBRARY"


@pytest.mark.requirement("I3")
@pytest.mark.parametrize(
    "row",
    [
        {"rates": ["volume", "", 1, 1, 2, 3, 4, 5]},
        {"rate": ["volume", "", 1, 1, 2, 3, 4]},
        {"rate": ["volume", "", 0, 1, 2, 3, 4, 5]},
        {"rate": ["volume", "", None, 1, 2, 3, 4, 5]},
        {"rate": ["volume", "", 1, 1.0, 2, 3, 4, 5]},
        {"rate": ["volume", "", 1, "1", 2, 3, 4, 5]},
        {"rate": ["volume", "", 1, True, 2, 3, 4, 5]},
        {"rate": ["volume", "", 1, -1, 2, 3, 4, 5]},
        {"rate": ["litres", "", 1, 1, 2, 3, 4, 5]},
        {"rate": ["volume", "head", 1, 1, 2, 3, 4, 5]},
        {"rate": ["time", "", 1, 1, 2, 3, 4, 5]},
        {"duration": ["mass", "", 1, 1, 2, 3, 4, 5]},
        {"duration": ["time", "weight", 1, 1, 2, 3, 4, 5]},
        {"concentration": ["volume", "", 1, 1, 2, 3, 4, 5]},
        {"concentration": ["mass", "weight", 1, 1, 2, 3, 4, 5]},
        {"rate": None},
    ],
)
def test_rows_that_make_no_sense(row):
    assert refusal(read, library({("a", "b"): row})).code == "E_LIBRARY"


def test_more_than_fits_is_refused_and_no_ram_is_asked_for():
    bench = loaded()
    most = library_module.SIZE_MAX
    text = library({("a", "i%04d" % i): MORPHINE for i in range(200)})
    assert len(text) > most
    with pytest.raises(errors.Refused) as caught:
        send(bench, text)
    assert caught.value.code == "E_SIZE" and str(most) in caught.value.message
    with pytest.raises(errors.Refused):
        read(text)
    fits = library({("a", "i%04d" % i): MORPHINE for i in range(70)}, version=4)
    load(bench, fits)
    assert len(bench.storage.files["drugs.b"]) == len(fits)
    assert shown(bench)["version"] == 4


def test_parts_come_in_order_and_a_size_must_be_right():
    bench, text = Bench(configuration()), library()
    assert refusal(lambda: ask(bench, "put", slot="library", offset=5, data="x")).code == "E_ARG"
    send(bench, text)
    again = refusal(lambda: ask(bench, "put", slot="library", offset=5, data=text[5:9]))
    assert again.code == "E_ARG" and str(len(text)) in again.message
    assert refusal(lambda: ask(bench, "library", size=len(text) - 1)).code == "E_SIZE"
    assert refusal(lambda: ask(bench, "put", slot="library", offset=0, data="x" * 513)).code == (
        "E_SIZE"
    )
    assert "digest" in ask(bench, "library", size=len(text))


def test_what_was_written_over_is_not_confirmed():
    bench = loaded(library(version=1))
    digest = propose(bench, library(version=2))["digest"]
    send(bench, library(version=3))
    assert refusal(lambda: ask(bench, "confirm", digest=digest)).code == "E_CONFIRM"
    digest = propose(bench, library(version=2))["digest"]
    bench.storage.files["drugs.b"] = library(version=4)  # the flash, not a command
    assert refusal(lambda: ask(bench, "confirm", digest=digest)).code == "E_CONFIRM"
    assert shown(bench)["version"] == 1


def test_only_while_nothing_moves():
    bench = loaded(library(version=1))
    digest = propose(bench, library(version=2))["digest"]
    plan(bench, [infuse()])  # drops the proposal, as any
    assert refusal(lambda: ask(bench, "confirm", digest=digest)).code == "E_CONFIRM"
    digest = propose(bench, library(version=2))["digest"]
    ask(bench, "start")
    for args in ({"size": 5}, {"offset": 0}, {}):
        assert refusal(lambda args=args: ask(bench, "library", **args)).code == "E_STATE"
    assert refusal(send, bench, library(version=3)).code == "E_STATE"
    assert refusal(lambda: ask(bench, "confirm", digest=digest)).code == "E_CONFIRM"
    assert bench.controller.state == "infusing" and bench.controller.library["version"] == 1


def test_an_order_planned_under_the_old_one_is_dropped():
    bench = loaded(library(version=1))
    plan(bench, [infuse()])
    load(bench, library(version=2))
    assert bench.controller.state == "idle"
    assert refusal(lambda: ask(bench, "start")).code == "E_STATE"


class Cut(Exception):
    """The power goes."""


@pytest.mark.requirement("I6", "H6")
def test_power_cut_at_any_write_leaves_the_old_or_the_new():
    old, new = library(version=1), library(version=2)
    seen = set()
    for cut in range(100):
        for half in (False, True):  # the write that is cut: not begun; for an upload also half
            bench = loaded(old)
            writes = 0
            whole = bench.storage.write

            def write(name, text, bench=bench, whole=whole, cut=cut, half=half):
                nonlocal writes
                if writes == cut:
                    if half and name.startswith("drugs."):
                        whole(name, text[: len(text) // 2])
                    elif half:
                        whole(name, text)  # littlefs: all of a file, or nothing
                    raise Cut
                writes += 1
                whole(name, text)

            bench.storage.write = write
            try:
                load(bench, new)
                done = True
            except Cut:
                done = False
            version = shown(bench.reboot())["version"]
            seen.add((done, version))
            assert version in ((2,) if done else (1, 2))
            after = bench.reboot()
            after.build(configuration())
            plan(after, [infuse()])  # whichever it is, it is whole
        if done:
            break
    assert seen == {(False, 1), (False, 2), (True, 2)}


def test_a_failing_flash_leaves_the_old_one():
    bench = loaded(library(version=1))
    bench.storage.failing = True
    assert refusal(send, bench, library(version=2)).code == "E_STORE"
    bench.storage.failing = False
    digest = propose(bench, library(version=2))["digest"]
    bench.storage.failing = True
    assert refusal(lambda: ask(bench, "confirm", digest=digest)).code == "E_STORE"
    assert shown(bench)["version"] == 1
    bench.storage.failing = False
    ask(bench, "confirm", digest=digest)
    assert shown(bench)["version"] == 2


@pytest.mark.requirement("I4", "H7")
@pytest.mark.parametrize("name", ["drugs.a", "library.a"])
def test_one_that_goes_bad_on_flash_keeps_every_order_back(name):
    bench = loaded()
    text = bench.storage.files[name]
    bench.storage.files[name] = text.replace("3", "4", 1)
    with pytest.raises(errors.Refused) as caught:
        plan(bench, [infuse()])  # even before a boot has seen it
    assert caught.value.code == "E_LIBRARY"
    again = bench.reboot()
    assert shown(again) is None
    assert any(e["e"] == "fault" and e["code"] == "E_LIBRARY" for e in again.events.since(0, 99))
    assert refusal(plan, again, [infuse()], None).code == "E_LIBRARY"
    assert (
        refusal(lambda: ask(again, "infuse", volume_al=ML, rate_al_per_h=ML)).code == "E_LIBRARY"
    )
    load(again, library())
    plan(again, [infuse()])
    assert shown(again.reboot()) == shown(loaded())


@settings(max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_the_version_in_use_never_falls(versions):
    bench, most = Bench(configuration()), 0
    for version in versions:
        try:
            load(bench, library(version=version))
        except errors.Refused:
            assert version < most
        most = max(most, version)
        assert shown(bench)["version"] == most


def test_drug_of_another_release_is_refused():
    bench = loaded()
    for drug in ("x", {}, {**DRUG, "who": "me"}, {**DRUG, "concentration": ["mass", 0, 1]},
                 {**DRUG, "weight": [1]}, {**DRUG, "item": "x" * 25}, {**DRUG, "area": 5},
                 {**DRUG, "who": "é", "why": "x"}):  # fmt: skip
        assert refusal(plan, bench, [infuse()], drug).code == "E_ORDER"
