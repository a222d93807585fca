"""A short round of tests/fuzz: the saved corpus, and a few hundred changes of it.  ``nox -s fuzz`` runs a long one."""

from __future__ import annotations

import random

import pytest
from fuzz import mutator, targets

ALL = [*targets.TARGETS, "differential"]

#: Inputs that once broke an invariant, and what was wrong.
FOUND = [
    # Compressed data that refers to earlier messages was called invalid in some pieces only.
    (
        "explainer",
        "07c192929292929182000000400a8200000000e28291828a07f248cdc9c9070000000003ededc98537fa21b9c5fa00073d30be7e"
        "0082787878787882000000006f6b0003ededc98537fa073d30be7e0082787878787882000000006f6b7882000000006f6b",
    ),
    # A request whose method is unknown is recognised by its first line, so not by its first byte, or its first three.
    ("explainer", "474554202f20485454502f312e310d0a07c3a9ff02"),
    ("explainer", "00474556202f20485454502f312e310d0a0d0a"),
    # Bad text and bad DEFLATE in one piece: which fault is named depends on the pieces; both are 1007.
    ("connection", "854165637666726f6d28332c2022fef7120143"),
    # An incomplete response was judged by its last line alone, so a head in one piece had to wait for its end.
    ("response_head", "00485454502f312e312033303220466f756e640d0a4c6f636174016f6e3a202f610d0a0d"),
]


def target(name):
    if name != "differential":
        return targets.TARGETS[name]
    pytest.importorskip("websockets")
    pytest.importorskip("wsproto")
    from fuzz.differential import differential

    return differential


class TestCorpus:
    """RFC 6455 §10.7: the inputs that reached new code in a long round"""

    @pytest.mark.parametrize("name", ALL)
    def test_every_saved_input_keeps_the_invariants(self, name):
        run, corpus = target(name), mutator.load(name)
        assert len(corpus) >= 2
        for data in corpus:
            run(data)

    @pytest.mark.parametrize("name, data", FOUND)
    def test_an_input_that_broke_an_invariant_keeps_it_now(self, name, data):
        target(name)(bytes.fromhex(data))

    @pytest.mark.parametrize("name", ALL)
    def test_changed_inputs_keep_the_invariants(self, name):
        """The same ones each time: to find new faults is for the long round, and not for a change that has none."""
        run, corpus, chance = target(name), mutator.load(name), random.Random(name)
        for _ in range(20 if name == "explainer" else 200):
            data = mutator.mutate(chance.choice(corpus), chance, corpus)
            try:
                run(data)
            except Exception:
                print("the input", data.hex())
                raise


class TestDifferences:
    """tests/fuzz/differences.toml: how two other implementations differ"""

    @pytest.fixture(autouse=True)
    def there(self):
        pytest.importorskip("websockets")
        pytest.importorskip("wsproto")

    def test_each_example_falls_into_its_class_or_the_peer_has_changed(self):
        from fuzz.differential import SEEN, TABLE, differential

        for row in TABLE:
            SEEN.clear()
            differential(bytes.fromhex(row["example"]))
            for peer in row["peers"]:
                assert {name for of, name in SEEN if of == peer} <= {row["name"], "same"}, (row["name"], SEEN)
            assert any(name == row["name"] for _, name in SEEN), f"no peer differs any more: {row['name']}"

    def test_every_class_says_who_is_right_and_why(self):
        from fuzz.differential import TABLE

        for row in TABLE:
            assert row["right"] in ("wsref", "both"), "a peer that is right is a fault of wsref to repair"
            assert set(row["peers"]) <= {"websockets", "wsproto"}
            assert row["why"].endswith(".")


class TestTargetsNotice:
    """A target that notices nothing proves nothing: each of these faults must break an invariant"""

    @pytest.mark.parametrize(
        "name, attribute, wrong",
        [
            ("frames", "build_frame", lambda frame, key: b"\x81"),
            ("check_codec", "parse_frame", lambda data, **_: None),
            ("extension_header", "accept_offer", lambda *_: (None, "foo; client_max_window_bits=7")),
            ("request_head", "parse_request", lambda data: None),
            ("deflate", "inflated", lambda parts, *_: parts[0] if parts else b""),
        ],
    )
    def test_a_broken_function(self, monkeypatch, name, attribute, wrong):
        monkeypatch.setattr(targets, attribute, wrong)
        with pytest.raises((AssertionError, targets.ProtocolError, ValueError, TypeError)):
            for data in mutator.load(name):
                targets.TARGETS[name](data)

    @pytest.mark.parametrize("fault", ["a message twice", "an event after the end", "bytes that are kept", "by pieces"])
    def test_a_broken_connection(self, monkeypatch, fault):
        original = targets.Connection.next_event
        last = []

        def next_event(self):
            event = original(self)
            match fault:
                case "a message twice" if isinstance(event, targets.Message) and not last:
                    last.append(event)
                case "a message twice" if event is None and last:
                    return last.pop()
                case "an event after the end" if event is None and self.state is not targets.State.OPEN and not last:
                    last.append(targets.Message("late"))
                    return last[0]
                case "bytes that are kept" if event is None:
                    self._buffer += bytes(200)
                case "by pieces" if isinstance(event, targets.Message) and not self.more_follows:
                    return targets.Message("the last of its piece")
            return event

        monkeypatch.setattr(targets.Connection, "next_event", next_event)
        with pytest.raises(AssertionError):
            for data in mutator.load("connection"):
                targets.TARGETS["connection"](data)
