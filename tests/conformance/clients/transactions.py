"""Transactional producers, and what readers of committed and of all records see, through confluent-kafka.

`transactions.py write BOOTSTRAP` leaves committed, aborted and one open transaction behind;
`transactions.py read BOOTSTRAP` prints what readers see of them.
"""

import hashlib
import os
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "money"
PARTITIONS = 2
ROUNDS = 60
RECORDS = 60
LIMIT = 30


def producer(name=None):
    config = {"bootstrap.servers": BOOTSTRAP, "linger.ms": 1}
    if name is not None:
        # Longer than the scenario: the open transaction stays open.
        config.update({"transactional.id": name, "transaction.timeout.ms": 900_000})
    client = Producer(config)
    if name is not None:
        client.init_transactions(LIMIT)
    return client


def fill(client, label, count):
    for number in range(count):
        key = f"{label} {number}".encode()
        client.produce(TOPIC, key=key, value=key * 60, partition=number % PARTITIONS)
    assert client.flush(LIMIT) == 0, "not everything was acknowledged"


def write():
    topic = NewTopic(TOPIC, PARTITIONS, 1, config={"segment.bytes": "1048576"})
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    admin.create_topics([topic])[TOPIC].result(LIMIT)
    plain, *transactional = producer(), producer("one"), producer("two")
    for number in range(ROUNDS):
        for client in transactional:
            client.begin_transaction()
        for label, client in enumerate(transactional):
            fill(client, f"round {number} of {label}", RECORDS)
        fill(plain, f"plain {number}", 3)
        for label, client in enumerate(transactional):
            if (number + label) % 3 == 0:
                client.abort_transaction(LIMIT)
            else:
                client.commit_transaction(LIMIT)
    last = producer("open")
    last.begin_transaction()
    fill(last, "open", 20)
    fill(plain, "behind the open transaction", 10)
    print("written", flush=True)
    # No end of the transaction, as if the process had died.
    os._exit(0)


def seen(isolation):
    client = Consumer({
        "bootstrap.servers": BOOTSTRAP,
        "group.id": "none",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": isolation,
    })
    client.assign([TopicPartition(TOPIC, at, OFFSET_BEGINNING) for at in range(PARTITIONS)])
    lines, ended = [], 0
    deadline = time.monotonic() + LIMIT
    while ended < PARTITIONS:
        assert time.monotonic() < deadline, f"{len(lines)} records and {ended} ends"
        for message in client.consume(500, timeout=0.2):
            if message.error() is None:
                key, value = message.key().decode(), message.value()
                assert value == message.key() * 60, key
                lines.append(f"{message.partition()} {message.offset()} {key}")
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                ended += 1
    ends = [client.get_watermark_offsets(TopicPartition(TOPIC, at)) for at in range(PARTITIONS)]
    client.close()
    lines.sort()
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{isolation}: {len(lines)} records, ends {ends}, {digest}"


def read():
    committed, everything = seen("read_committed"), seen("read_uncommitted")
    print(committed)
    print(everything)


BOOTSTRAP = sys.argv[2]
{"write": write, "read": read}[sys.argv[1]]()
