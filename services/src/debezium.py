"""Debezium's embedded engine over one outbox of PostgreSQL, through its outbox event router.

Arguments: the folder of its state, the port, the name of its slot, the table with its schema. Each
record is a line: RECORD, topic, key, value, separated by tabs; key and value are JSON.
"""

import sys

from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

folder, port, slot, table = sys.argv[1:5]


class Lines(BasePythonChangeHandler):
    def handleJsonBatch(self, records):
        for one in records:
            words = [str(one.destination()), str(one.key()), str(one.value())]
            print("RECORD", *words, sep="\t", flush=True)


DebeziumJsonEngine(
    handler=Lines(),
    properties={
        "name": slot,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": f"{folder}/{slot}.offsets",
        "offset.flush.interval.ms": "200",
        "database.hostname": "127.0.0.1",
        "database.port": port,
        "database.user": "postgres",
        "database.password": "unused",
        "database.dbname": "postgres",
        "topic.prefix": slot,
        "slot.name": slot,
        "publication.name": slot,
        "publication.autocreate.mode": "filtered",
        "snapshot.mode": "no_data",
        "table.include.list": table,
        # What a relay, or who deletes old rows, does to the table is no message.
        "skipped.operations": "u,d,t",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": "${routedByValue}",
        "transforms.outbox.table.fields.additional.placement":
            "id:envelope,type:envelope,headers:envelope,traceparent:envelope",
    },
).run()
