"""The package `umadb`: appends with conditions, reads by query, the head, tracking, subscriptions."""

import unittest
from uuid import uuid4

import umadb
from umadb import AppendCondition, Client, Event, IntegrityError, Query, QueryItem, TrackingInfo

import harness


def event(kind, tags, number, **more):
    return Event(event_type=kind, data=str(number).encode(), tags=tags, **more)


def number(sequenced):
    return int(bytes(sequenced.event.data))


def numbers(sequenced):
    return [number(event) for event in sequenced]


def query(types=None, tags=None):
    return Query(items=[QueryItem(types=types or [], tags=tags or [])])


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.client = self.connect()

    def connect(self, **options):
        client = Client(f"http://{self.server.address}", **options)
        self.addCleanup(client.close)
        return client

    def append(self, kind, tags, number, **more):
        return self.client.append([event(kind, tags, number)], **more)


class Appends(Case):
    def test_positions_rise_and_the_head_with_them(self):
        self.assertIsNone(self.client.head())
        before = 0
        for n in range(5):
            position = self.append("placed", ["o:1"], n)
            self.assertGreater(position, before)
            self.assertEqual(self.client.head(), position)
            before = position
        last = self.client.append([event("placed", ["o:1"], n) for n in range(5, 500)])
        found = list(self.client.read())
        self.assertEqual(numbers(found), list(range(500)))
        self.assertEqual(found[-1].position, last)

    def test_everything_of_an_event_comes_back(self):
        metadata = {"z": "1", "a": 'Zoë "quoted"\n', "empty": ""}
        sent = Event("order placed", b"\x00\xff", ["b", "a", "über:1"], uuid4(), metadata)
        self.client.append([sent])
        (found,) = self.client.read()
        found = found.event
        self.assertEqual((found.event_type, found.uuid), (sent.event_type, sent.uuid))
        self.assertEqual(bytes(found.data), b"\x00\xff")
        self.assertEqual(found.metadata, metadata)
        self.assertEqual(sorted(found.tags), sorted(sent.tags))

    def test_a_condition_lets_one_of_two_through(self):
        taken = query(["placed"], ["o:1"])
        first = self.append("placed", ["o:1"], 0, condition=AppendCondition(taken))
        for after in [None, 0, first - 1]:
            with self.assertRaises(IntegrityError):
                self.append("placed", ["o:1"], 1, condition=AppendCondition(taken, after))
        self.append("placed", ["o:1"], 2, condition=AppendCondition(taken, first))
        for free in [query(["paid"]), query(["placed"], ["o:2"]), query([], ["o:1", "o:2"])]:
            self.append("seen", [], 3, condition=AppendCondition(free))
        self.assertEqual(numbers(self.client.read(taken)), [0, 2])

    def test_a_retry_with_its_ids_is_answered_as_the_first_time(self):
        what = [event("placed", ["o:1"], n, uuid=uuid4()) for n in range(2)]
        condition = AppendCondition(query(["placed"], ["o:1"]))
        first = self.client.append(what, condition)
        self.append("paid", ["o:1"], 2)
        self.assertEqual(self.client.append(what, condition), first)
        self.assertEqual(numbers(self.client.read()), [0, 1, 2])

    def test_tracking_rises_only(self):
        self.assertIsNone(self.client.get_tracking_info("upstream"))
        self.append("placed", [], 0, tracking_info=TrackingInfo("upstream", 5))
        for position in [5, 4]:
            with self.assertRaises(IntegrityError):
                self.append("placed", [], 1, tracking_info=TrackingInfo("upstream", position))
        self.append("placed", [], 2, tracking_info=TrackingInfo("upstream", 6))
        self.assertEqual(self.client.get_tracking_info("upstream"), 6)
        self.assertIsNone(self.client.get_tracking_info("other"))
        self.assertEqual(numbers(self.client.read()), [0, 2])

    @unittest.expectedFailure
    def test_tracking_comes_back_with_the_events(self):
        self.append("placed", [], 0, tracking_info=TrackingInfo("upstream", 5))
        (found,) = self.client.read()
        self.assertEqual(found.tracking_info, TrackingInfo("upstream", 5))

    def test_what_is_no_event_is_refused(self):
        for kind, tags in [("", ["o:1"]), ("placed", [""])]:
            with self.assertRaises(ValueError) as refused:
                self.append(kind, tags, 0)
            self.assertNotIsInstance(refused.exception, IntegrityError)
        self.assertIsNone(self.client.head())


class Reads(Case):
    def setUp(self):
        super().setUp()
        self.at = []
        for n in range(10):
            kind = "placed" if n < 6 else "paid"
            self.at.append(self.append(kind, [f"o:{n % 2}", "shop"], n))

    def test_by_query(self):
        either = Query(items=[QueryItem(["paid"], ["o:1"]), QueryItem(["placed"], ["o:0"])])
        table = [
            (None, range(10)),
            (Query(), range(10)),
            (query(["paid"]), range(6, 10)),
            (query(["paid", "placed"], ["o:0"]), [0, 2, 4, 6, 8]),
            (either, [0, 2, 4, 7, 9]),
            (query([], ["o:0", "o:1"]), []),
        ]
        for wanted, expect in table:
            with self.subTest(wanted):
                self.assertEqual(numbers(self.client.read(wanted)), list(expect))
                found = numbers(self.client.read(wanted, backwards=True))
                self.assertEqual(found, list(expect)[::-1])

    def test_from_any_position(self):
        at = self.at
        table = [
            ({"start": at[4]}, range(4, 10)),
            ({"start": at[4], "limit": 2}, [4, 5]),
            ({"start": at[4], "backwards": True}, [4, 3, 2, 1, 0]),
            ({"backwards": True, "limit": 3}, [9, 8, 7]),
            ({"start": at[9] + 1}, []),
        ]
        for options, expect in table:
            with self.subTest(options):
                self.assertEqual(numbers(self.client.read(**options)), list(expect))

    def test_the_head_comes_with_them(self):
        for wanted, count in [(None, 10), (query(["sent"]), 0)]:
            events, head = self.client.read(wanted).collect_with_head()
            self.assertEqual((len(events), head), (count, self.at[9]))
        _, head = self.client.read(limit=3).collect_with_head()
        self.assertEqual(head, self.at[2])

    def test_batches_are_as_large_as_the_client_says(self):
        response = self.connect(batch_size=4).read()
        sizes = []
        while batch := response.next_batch():
            sizes.append(len(batch))
        self.assertEqual(sum(sizes), 10)
        self.assertLessEqual(max(sizes), 4)


class Subscriptions(Case):
    def test_catch_up_and_go_on_live(self):
        empty = self.client.subscribe()
        at = [self.append("placed", ["o:1"], n) for n in range(5)]
        start = self.client.subscribe()
        after = self.client.subscribe(after=at[2])
        wanted = self.client.subscribe(query(["paid"], ["o:1"]))
        for expect, subscription in [(0, empty), (0, start), (3, after)]:
            for n in range(expect, 5):
                self.assertEqual(number(next(subscription)), n)
        for n in range(5, 10):
            self.append("paid", ["o:2"], 99)
            self.append("paid", ["o:1"], n)
            self.assertEqual(number(next(wanted)), n)
            for subscription in [empty, start, after]:
                self.assertEqual(number(next(subscription)), 99)
                self.assertEqual(number(next(subscription)), n)
        for subscription in [empty, start, after, wanted]:
            subscription.cancel()
            with self.assertRaises(umadb.CancelledByUserError):
                next(subscription)


class Restart(Case):
    def test_nothing_is_different(self):
        what = [event("placed", ["o:1"], n, uuid=uuid4()) for n in range(3)]
        condition = AppendCondition(query(["placed"], ["o:1"]))
        first = self.client.append(what, condition)
        self.append("paid", ["o:1"], 3, tracking_info=TrackingInfo("upstream", 41))
        told = [(event.position, event.event.uuid) for event in self.client.read()]
        for end in [self.server.kill, self.server.stop]:
            subscription = self.client.subscribe(after=told[-1][0])
            end()
            with self.assertRaises(Exception):
                next(subscription)
            self.server.start()
            found = self.retry(lambda: list(self.client.read()))
            self.assertEqual([(event.position, event.event.uuid) for event in found], told)
            self.assertEqual(self.client.head(), told[-1][0])
            self.assertEqual(self.client.get_tracking_info("upstream"), 41)
            with self.assertRaises(IntegrityError):
                self.append("placed", ["o:1"], 9, condition=condition)
            self.assertEqual(self.client.append(what, condition), first)


class Health(Case):
    def test_is_told(self):
        self.assertEqual(self.client.check_health(), umadb.ServingStatus.SERVING)
        self.assertEqual(next(self.client.watch_health()), umadb.ServingStatus.SERVING)


if __name__ == "__main__":
    harness.main("umadb")
