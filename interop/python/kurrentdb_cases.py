"""The package `kurrentdbclient`: appends, reads, filters, subscriptions, deletes, metadata."""

import json
import unittest
from datetime import datetime, timezone
from uuid import uuid4

from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient import exceptions as failed
from kurrentdbclient.events import CaughtUp, Checkpoint

import harness

EVENT_BYTES_MAX = 16 << 20

ANY, NO_STREAM, EXISTS = StreamState.ANY, StreamState.NO_STREAM, StreamState.EXISTS


def event(kind, number, **more):
    return NewEvent(type=kind, data=json.dumps({"number": number}).encode(), **more)


def events(kind, numbers):
    return [event(kind, number) for number in numbers]


def number(recorded):
    return json.loads(recorded.data)["number"]


def numbers(recorded):
    return [number(event) for event in recorded]


def revisions(recorded):
    return [event.stream_position for event in recorded]


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.client = self.connect()

    def connect(self, query="Tls=false", user=""):
        client = KurrentDBClient(f"kurrentdb://{user}{self.server.address}?{query}")
        self.addCleanup(client.close)
        return client

    def append(self, stream, what, expected=ANY):
        return self.client.append_to_stream(stream, events=what, current_version=expected)


class Appends(Case):
    def test_one_at_a_time(self):
        positions = [self.append("order-1", event("placed", number)) for number in range(3)]
        self.assertEqual(positions, sorted(set(positions)))
        found = self.client.get_stream("order-1")
        self.assertEqual(numbers(found), [0, 1, 2])
        self.assertEqual(revisions(found), [0, 1, 2])
        self.assertEqual([event.commit_position for event in found], positions)
        all = list(self.client.read_all())
        self.assertEqual([event.commit_position for event in all], positions)
        self.assertEqual(self.client.get_commit_position(), positions[-1])
        self.assertEqual(self.client.get_current_version("order-1"), 2)
        self.assertEqual(self.client.get_current_version("order-2"), NO_STREAM)

    def test_many_at_once_are_a_batch(self):
        position = self.append("order-1", events("placed", range(1_000)))
        found = self.client.get_stream("order-1")
        self.assertEqual(numbers(found), list(range(1_000)))
        self.assertEqual(found[-1].commit_position, position)

    def test_everything_of_an_event_comes_back(self):
        sent = [
            event("order placed", 1, metadata=b'{"user": "Ada"}', id=uuid4()),
            NewEvent("picture", b"\x00\xff", b"\xfe", "application/octet-stream", uuid4()),
        ]
        self.append("order-über/1", sent)
        for sent, found in zip(sent, self.client.get_stream("order-über/1")):
            self.assertEqual(found.id, sent.id)
            self.assertEqual(found.type, sent.type)
            self.assertEqual(found.data, sent.data)
            self.assertEqual(found.metadata, sent.metadata)
            self.assertEqual(found.content_type, sent.content_type)
            self.assertEqual(found.stream_name, "order-über/1")
            age = datetime.now(timezone.utc) - found.recorded_at
            self.assertLess(abs(age.total_seconds()), harness.PATIENCE)

    def test_a_retry_is_answered_as_the_first_time(self):
        # One event and several: they are different calls.
        for what in [event("paid", 7), events("paid", [7, 8])]:
            for expected in [ANY, EXISTS, NO_STREAM, 1]:
                stream = f"order-{uuid4()}"
                if expected != NO_STREAM:
                    self.append(stream, events("placed", range(2)))
                first = self.append(stream, what, expected)
                self.append(stream, event("sent", 9))
                count = len(self.client.get_stream(stream))
                with self.subTest(expected=expected, many=isinstance(what, list)):
                    self.assertEqual(self.append(stream, what, expected), first)
                    self.assertEqual(len(self.client.get_stream(stream)), count)


class Expectations(Case):
    """Every kind, with a single event and with several: they are different calls."""

    def check(self, stream, expected, outcome):
        for what in [event("paid", 9), events("paid", [9, 9])]:
            with self.subTest(stream=stream, expected=expected, many=isinstance(what, list)):
                name = f"{stream}-{uuid4()}"
                if stream != "missing":
                    self.append(name, events("placed", range(2)))
                if stream == "deleted":
                    self.client.delete_stream(name, current_version=ANY)
                if stream == "tombstoned":
                    self.client.tombstone_stream(name, current_version=ANY)
                if outcome is None:
                    self.append(name, what, expected)
                    continue
                error = outcome
                if outcome is failed.StreamIsDeletedError and not isinstance(what, list):
                    # For a single event the client has no error of its own.
                    error = failed.FailedPreconditionError
                with self.assertRaises(error) as refused:
                    self.append(name, what, expected)
                if outcome is failed.WrongCurrentVersionError:
                    self.assertEqual(refused.exception.stream_name, name)
                    self.assertEqual(refused.exception.expected_version, expected)
                    actual = NO_STREAM if stream == "missing" else 1
                    self.assertEqual(refused.exception.actual_version, actual)

    def test_of_a_stream_that_is_not_there(self):
        wrong = failed.WrongCurrentVersionError
        for expected, outcome in [(ANY, None), (NO_STREAM, None), (EXISTS, wrong), (0, wrong)]:
            self.check("missing", expected, outcome)

    def test_of_a_stream_with_two_events(self):
        wrong = failed.WrongCurrentVersionError
        table = [(ANY, None), (NO_STREAM, wrong), (EXISTS, None), (0, wrong), (1, None), (2, wrong)]
        for expected, outcome in table:
            self.check("two", expected, outcome)

    def test_of_a_deleted_stream(self):
        wrong = failed.WrongCurrentVersionError
        for expected, outcome in [(ANY, None), (NO_STREAM, None), (0, wrong), (1, None)]:
            self.check("deleted", expected, outcome)

    def test_that_it_exists_of_a_deleted_stream(self):
        name = "order-1"
        self.append(name, events("placed", range(2)))
        self.client.delete_stream(name, current_version=ANY)
        with self.assertRaises(failed.StreamIsDeletedError):
            self.append(name, events("paid", [9, 9]), EXISTS)

    def test_of_a_tombstoned_stream(self):
        for expected in [ANY, NO_STREAM, EXISTS, 0, 1]:
            self.check("tombstoned", expected, failed.StreamIsDeletedError)


class Reads(Case):
    def test_of_a_stream_from_any_point(self):
        self.append("order-1", events("placed", range(10)))
        table = [
            ({}, range(10)),
            ({"limit": 4}, range(4)),
            ({"stream_position": 6}, range(6, 10)),
            ({"stream_position": 6, "limit": 2}, [6, 7]),
            ({"stream_position": 10}, []),
            ({"backwards": True}, range(9, -1, -1)),
            ({"backwards": True, "limit": 1}, [9]),
            ({"backwards": True, "stream_position": 3}, [3, 2, 1, 0]),
        ]
        for options, expect in table:
            with self.subTest(options):
                found = self.client.get_stream("order-1", **options)
                self.assertEqual(revisions(found), list(expect))

    def test_of_a_stream_that_is_not_there(self):
        for options in [{}, {"backwards": True}, {"stream_position": 1}, {"limit": 1}]:
            with self.subTest(options), self.assertRaises(failed.NotFoundError):
                self.client.get_stream("order-1", **options)

    def test_of_all_from_any_position(self):
        at = [self.append(f"order-{n % 3}", event("placed", n)) for n in range(10)]
        table = [
            ({}, at),
            ({"limit": 3}, at[:3]),
            ({"commit_position": at[4]}, at[4:]),
            ({"commit_position": at[4], "limit": 2}, at[4:6]),
            ({"commit_position": at[4], "backwards": True}, at[3::-1]),
            ({"backwards": True}, at[::-1]),
            ({"backwards": True, "limit": 2}, at[:-3:-1]),
        ]
        for options, expect in table:
            with self.subTest(options):
                found = self.client.read_all(**options)
                self.assertEqual([event.commit_position for event in found], expect)

    def test_can_be_stopped(self):
        self.append("order-1", events("placed", range(5_000)))
        with self.client.read_stream("order-1") as response:
            self.assertEqual(number(next(response)), 0)
            response.stop()
        self.assertEqual(len(self.client.get_stream("order-1")), 5_000)


class Filters(Case):
    def setUp(self):
        super().setUp()
        for n in range(8):
            stream = "order-1" if n % 2 == 0 else "invoice-1"
            self.append(stream, event("placed" if n < 4 else "paid-late", n))
        self.client.set_stream_metadata("order-1", metadata={"$maxCount": 100})

    def test_by_stream_and_type(self):
        by_stream = {"filter_by_stream_name": True}
        by_prefix = {"filter_by_prefix": True}
        table = [
            ({}, range(8)),
            ({"filter_include": ["placed"]}, range(4)),
            ({"filter_include": ["pa.*", "never"]}, range(4, 8)),
            ({"filter_exclude": ["placed", r"\$.+"]}, range(4, 8)),
            ({"filter_include": ["order-.*"], **by_stream}, [0, 2, 4, 6]),
            ({"filter_exclude": ["order-.*", r"\$.+"], **by_stream}, [1, 3, 5, 7]),
            ({"filter_include": ["order-", "inv"], **by_stream, **by_prefix}, range(8)),
            ({"filter_include": ["pai"], **by_prefix}, range(4, 8)),
            ({"filter_include": ["order-"], **by_stream, **by_prefix, "limit": 2}, [0, 2]),
        ]
        for options, expect in table:
            with self.subTest(options):
                found = numbers(self.client.read_all(**options))
                self.assertEqual(found, list(expect))
                if "limit" not in options:
                    found = numbers(self.client.read_all(backwards=True, **options))
                    self.assertEqual(found, list(expect)[::-1])

    def test_without_one_the_system_is_seen(self):
        found = list(self.client.read_all(filter_exclude=[]))
        self.assertEqual(len(found), 9)
        self.assertEqual((found[-1].stream_name, found[-1].type), ("$$order-1", "$metadata"))
        found = list(self.client.read_all(filter_include=[r"\$metadata"]))
        self.assertEqual(len(found), 1)

    def test_a_subscription_has_one_too(self):
        options = {"filter_include": ["order-.*"], "filter_by_stream_name": True}
        with self.client.subscribe_to_all(**options) as subscription:
            self.assertEqual([number(next(subscription)) for _ in range(4)], [0, 2, 4, 6])
            self.append("invoice-2", event("placed", 98))
            self.append("order-2", event("placed", 99))
            self.assertEqual(number(next(subscription)), 99)


class Subscriptions(Case):
    def take(self, subscription, count):
        return [number(next(subscription)) for _ in range(count)]

    def test_to_a_stream(self):
        self.append("order-1", events("placed", range(10)))
        start = self.client.subscribe_to_stream("order-1")
        after = self.client.subscribe_to_stream("order-1", stream_position=6)
        end = self.client.subscribe_to_stream("order-1", from_end=True)
        self.assertTrue(start.subscription_id)
        self.assertEqual(self.take(start, 10), list(range(10)))
        self.assertEqual(self.take(after, 3), [7, 8, 9])
        for n in range(10, 15):
            self.append("order-2", event("placed", 99))
            self.append("order-1", event("placed", n))
            for subscription in [start, after, end]:
                self.assertEqual(self.take(subscription, 1), [n])
        for subscription in [start, after, end]:
            subscription.stop()

    def test_to_a_stream_that_is_not_there_yet(self):
        with self.client.subscribe_to_stream("order-1") as subscription:
            self.append("order-1", events("placed", range(3)))
            self.assertEqual(self.take(subscription, 3), [0, 1, 2])

    def test_to_all(self):
        at = [self.append(f"order-{n}", event("placed", n)) for n in range(6)]
        start = self.client.subscribe_to_all()
        after = self.client.subscribe_to_all(commit_position=at[3])
        end = self.client.subscribe_to_all(from_end=True)
        self.assertEqual(self.take(start, 6), list(range(6)))
        self.assertEqual(self.take(after, 2), [4, 5])
        self.append("order-9", event("placed", 9))
        for subscription in [start, after, end]:
            self.assertEqual(self.take(subscription, 1), [9])
            subscription.stop()

    def test_caught_up_is_told(self):
        last = self.append("order-1", events("placed", range(3)))
        stream = self.client.subscribe_to_stream("order-1", include_caught_up=True)
        all = self.client.subscribe_to_all(include_caught_up=True)
        for subscription in [stream, all]:
            self.assertEqual(self.take(subscription, 3), [0, 1, 2])
            told = next(subscription)
            self.assertIsInstance(told, CaughtUp)
            self.assertIsNotNone(told.recorded_at)
            if subscription is stream:
                self.assertEqual(told.stream_position, 2)
            else:
                self.assertEqual(told.commit_position, last)
            self.append("order-1", event("placed", 3))
            if subscription is stream:
                self.assertEqual(self.take(stream, 1), [3])
            subscription.stop()

    def test_checkpoints_are_told_and_gone_on_from(self):
        self.append("order-1", event("placed", 0))
        self.append("invoice-1", events("sent", range(1_000)))
        options = {"filter_include": ["placed"], "include_checkpoints": True}
        options |= {"window_size": 10, "checkpoint_interval_multiplier": 1}
        told = []
        with self.client.subscribe_to_all(**options) as subscription:
            for event_ in subscription:
                if isinstance(event_, Checkpoint):
                    told.append(event_.commit_position)
                    if event_.commit_position >= 1_000:
                        break
        self.assertEqual(told, sorted(told))
        self.append("order-1", event("placed", 7))
        options = {"commit_position": told[-1], "filter_include": ["placed"]}
        with self.client.subscribe_to_all(**options) as subscription:
            self.assertEqual(self.take(subscription, 1), [7])

    def test_end_with_the_deadline(self):
        with self.assertRaises(failed.DeadlineExceededError):
            for _ in self.client.subscribe_to_all(timeout=0.5):
                pass


class Deletes(Case):
    def test_softly(self):
        self.append("order-1", events("placed", range(3)))
        with self.assertRaises(failed.WrongCurrentVersionError) as refused:
            self.client.delete_stream("order-1", current_version=0)
        self.assertEqual(refused.exception.actual_version, 2)
        self.client.delete_stream("order-1", current_version=2)
        self.client.delete_stream("order-1", current_version=2)
        with self.assertRaises(failed.NotFoundError):
            self.client.get_stream("order-1")
        self.assertEqual(self.client.get_current_version("order-1"), NO_STREAM)
        self.append("order-1", events("placed", [3, 4]), NO_STREAM)
        found = self.client.get_stream("order-1")
        self.assertEqual((revisions(found), numbers(found)), ([3, 4], [3, 4]))

    def test_for_ever(self):
        self.append("order-1", events("placed", range(3)))
        with self.assertRaises(failed.WrongCurrentVersionError):
            self.client.tombstone_stream("order-1", current_version=0)
        self.client.tombstone_stream("order-1", current_version=2)
        self.client.tombstone_stream("never", current_version=ANY)
        calls = [
            lambda name: self.client.get_stream(name),
            lambda name: self.client.get_current_version(name),
            lambda name: self.client.delete_stream(name, current_version=ANY),
            lambda name: self.client.tombstone_stream(name, current_version=ANY),
            lambda name: self.append(name, events("placed", [3])),
        ]
        for name in ["order-1", "never"]:
            for call in calls:
                with self.assertRaises(failed.StreamIsDeletedError):
                    call(name)

    def test_of_what_is_expected_to_exist_and_does_not(self):
        for expected in [EXISTS, 0]:
            with self.assertRaises(failed.NotFoundError):
                self.client.delete_stream("order-1", current_version=expected)

    def test_of_what_never_was(self):
        with self.assertRaises(failed.NotFoundError):
            self.client.delete_stream("order-1", current_version=ANY)


class Metadata(Case):
    def test_new_metadata_does_not_bring_deleted_events_back(self):
        self.append("order-1", events("placed", range(2)))
        self.client.delete_stream("order-1", current_version=ANY)
        self.client.set_stream_metadata("order-1", metadata={"$maxCount": 100})
        self.append("order-1", event("placed", 2))
        self.assertEqual(revisions(self.client.get_stream("order-1")), [2])

    def test_comes_back(self):
        self.assertEqual(self.client.get_stream_metadata("order-1"), ({}, NO_STREAM))
        first = {"$maxCount": 5, "$maxAge": 3_600, "$tb": 1, "$cacheControl": 9}
        first |= {"$acl": {"$r": ["$all"], "$w": "ops"}, "owner": {"team": "orders"}}
        self.client.set_stream_metadata("order-1", metadata=first, current_version=NO_STREAM)
        self.assertEqual(self.client.get_stream_metadata("order-1"), (first, 0))
        second = {"owner": None}
        with self.assertRaises(failed.WrongCurrentVersionError):
            options = {"metadata": second, "current_version": NO_STREAM}
            self.client.set_stream_metadata("order-1", **options)
        self.client.set_stream_metadata("order-1", metadata=second, current_version=0)
        self.assertEqual(self.client.get_stream_metadata("order-1"), (second, 1))

    def test_hides_events(self):
        self.append("order-1", events("placed", range(5)))
        for metadata, expect in [
            ({"$maxCount": 2}, [3, 4]),
            ({"$tb": 4}, [4]),
            ({"$tb": 1, "$maxCount": 3}, [2, 3, 4]),
            ({"$maxAge": 3_600}, [0, 1, 2, 3, 4]),
            ({}, [0, 1, 2, 3, 4]),
        ]:
            with self.subTest(metadata):
                self.client.set_stream_metadata("order-1", metadata=metadata)
                self.assertEqual(revisions(self.client.get_stream("order-1")), expect)


class Links(Case):
    def test_are_resolved_if_asked_for(self):
        self.append("order-1", events("placed", range(3)))
        link = NewEvent(type="$>", data=b"1@order-1", content_type="application/octet-stream")
        self.append("paid", link)
        plain = self.client.get_stream("paid")[0]
        self.assertTrue(plain.is_link_event)
        found = self.client.get_stream("paid", resolve_links=True)[0]
        self.assertTrue(found.is_resolved_event)
        self.assertEqual((found.stream_name, found.stream_position), ("order-1", 1))
        self.assertEqual((found.link.stream_name, found.link.stream_position), ("paid", 0))
        with self.client.subscribe_to_stream("paid", resolve_links=True) as subscription:
            self.assertEqual(number(next(subscription)), 1)


class Limits(Case):
    def test_of_an_event(self):
        def large(size):
            binary = "application/octet-stream"
            return NewEvent(type="large", data=bytes(size), content_type=binary)

        # Alone and in a batch: they are different calls.
        for many in [False, True]:
            fits, over = large(EVENT_BYTES_MAX), large(EVENT_BYTES_MAX + 1)
            stream = f"large-{many}"
            self.append(stream, [fits] if many else fits)
            error = failed.BadRequestError if many else failed.GrpcError
            with self.assertRaises(error) as refused:
                self.append(stream, [over] if many else over)
            self.assertIn("exceeds Maximum Append Event Size", str(refused.exception))
            self.append(stream, event("small", 1), expected=0)

    def test_a_deadline_that_is_over_writes_nothing(self):
        # In a batch: it carries its deadline. A single event's is at least what a timer can tell.
        with self.assertRaises(failed.DeadlineExceededError):
            options = {"current_version": ANY, "timeout": 0}
            self.client.append_to_stream("order-1", events=events("placed", [0, 1]), **options)
        self.assertEqual(self.client.get_current_version("order-1"), NO_STREAM)


class Cluster(Case):
    def test_gossip_names_the_one_server(self):
        (member,) = self.client.read_gossip()
        self.assertEqual(f"{member.address}:{member.port}", self.server.address)
        self.assertEqual(member.state, "NODE_STATE_LEADER")

    def test_a_client_finds_the_server_by_gossip(self):
        at = self.server.address
        for preference in ["leader", "random"]:
            client = KurrentDBClient(f"esdb://{at},{at}?Tls=false&NodePreference={preference}")
            options = {"events": event("placed", 0), "current_version": ANY}
            client.append_to_stream("order-1", **options)
            client.close()
        with self.assertRaises(failed.FollowerNotFoundError):
            KurrentDBClient(f"esdb://{at},{at}?Tls=false&NodePreference=follower").read_gossip()

    def test_what_is_not_there_yet_says_so(self):
        calls = [
            lambda: self.client.create_subscription_to_stream("group", "order-1"),
            lambda: self.client.list_subscriptions(),
            lambda: self.client.get_projection_statistics("$by_category"),
            lambda: self.client.multi_append_to_stream([]),
        ]
        for call in calls:
            with self.assertRaises(failed.GrpcError) as refused:
                call()
            self.assertIn("UNIMPLEMENTED", str(refused.exception))


class Restart(Case):
    def test_the_same_client_finds_everything_again(self):
        self.append("order-1", events("placed", range(5)))
        self.client.set_stream_metadata("order-1", metadata={"$maxCount": 100})
        self.append("order-2", event("placed", 5))
        self.client.delete_stream("order-2", current_version=ANY)
        told = list(self.client.read_all(filter_exclude=[]))
        for end in [self.server.kill, self.server.stop]:
            end()
            self.server.start()
            found = self.retry(lambda: list(self.client.read_all(filter_exclude=[])))
            self.assertEqual([vars(event) for event in found], [vars(event) for event in told])
            with self.assertRaises(failed.NotFoundError):
                self.client.get_stream("order-2")
        self.append("order-1", event("placed", 9), 4)

    def test_a_retry_after_a_crash_is_answered_as_the_first_time(self):
        what = events("placed", range(3))
        first = self.append("order-1", what, NO_STREAM)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.retry(lambda: self.append("order-1", what, NO_STREAM)), first)
        self.assertEqual(len(self.client.get_stream("order-1")), 3)

    def test_a_subscription_ends_with_an_error_and_another_goes_on(self):
        position = self.append("order-1", event("placed", 0))
        for end in [self.server.kill, self.server.stop]:
            subscription = self.client.subscribe_to_all(commit_position=position)
            end()
            with self.assertRaises(failed.KurrentDBClientError):
                next(subscription)
            self.server.start()
            following = self.retry(lambda: self.append("order-1", event("placed", 1)))
            with self.client.subscribe_to_all(commit_position=position) as subscription:
                found = next(subscription)
            self.assertEqual((number(found), found.commit_position), (1, following))
            position = following


if __name__ == "__main__":
    harness.main("kurrentdbclient")
