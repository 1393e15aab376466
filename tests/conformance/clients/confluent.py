"""Topics, configs, produce with every codec and acknowledgement, fetch, through confluent-kafka."""

import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

PARTITIONS = 8
BOOTSTRAP = sys.argv[1]
LIMIT = 30


def answers(futures):
    return {name: future.result(LIMIT) for name, future in futures.items()}


def refused(future, name):
    try:
        future.result(LIMIT)
    except KafkaException as error:
        assert error.args[0].name() == name, error
    else:
        raise AssertionError(f"{name} was expected")


def consumer():
    return Consumer({
        "bootstrap.servers": BOOTSTRAP,
        "group.id": "none",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
    })


def read(topic, count, start=OFFSET_BEGINNING):
    client = consumer()
    client.assign([TopicPartition(topic, at, start) for at in range(PARTITIONS)])
    found = []
    deadline = time.monotonic() + LIMIT
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records of {topic}"
        for message in client.consume(count - len(found), timeout=0.5):
            assert message.error() is None, message.error()
            found.append(message)
    client.close()
    return found


def produce(topic, settings, count=400):
    client = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **settings})
    failures = []

    def report(error, _message):
        if error is not None:
            failures.append(error)

    sent = {at: [] for at in range(PARTITIONS)}
    for number in range(count):
        at = number % PARTITIONS
        value = f"{topic} {number} ".encode() * 10
        sent[at].append(value)
        client.produce(topic, value, key=str(number), partition=at, on_delivery=report)
        client.poll(0)
    assert client.flush(LIMIT) == 0
    assert not failures, failures[0]
    return sent


def ends(topic):
    """(first, next) of each partition; a new log may not be there yet."""
    client = consumer()
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            asked = [TopicPartition(topic, at) for at in range(PARTITIONS)]
            found = [client.get_watermark_offsets(one, LIMIT) for one in asked]
            client.close()
            return found
        except KafkaException:
            assert time.monotonic() < deadline, f"no watermarks of {topic}"
            time.sleep(0.05)


def round_trip(topic, settings):
    answers(admin.create_topics([NewTopic(topic, PARTITIONS, 1)]))
    assert ends(topic) == [(0, 0)] * PARTITIONS
    sent = produce(topic, settings)
    deadline = time.monotonic() + LIMIT
    # Without acknowledgements the client is done before the broker.
    while sum(high for _, high in ends(topic)) < 400:
        assert time.monotonic() < deadline, f"records of {topic} are missing"
    found = {at: [] for at in range(PARTITIONS)}
    for message in read(topic, 400):
        assert message.offset() == len(found[message.partition()])
        found[message.partition()].append(message.value())
    assert found == sent, topic


admin = AdminClient({"bootstrap.servers": BOOTSTRAP})

# Topics.
answers(admin.create_topics([NewTopic("cp", 2, 1, config={"retention.ms": "86400000"})]))
refused(admin.create_topics([NewTopic("cp", 2, 1)])["cp"], "TOPIC_ALREADY_EXISTS")
answers(admin.create_partitions([NewPartitions("cp", PARTITIONS)]))
for _ in range(100):
    if len(admin.list_topics("cp", LIMIT).topics["cp"].partitions) == PARTITIONS:
        break
    time.sleep(0.1)
else:
    raise AssertionError("the partitions were not added")

# Configs: an incremental change leaves the others alone.
resource = ConfigResource(ResourceType.TOPIC, "cp")


def configs():
    return answers(admin.describe_configs([resource]))[resource]


assert configs()["retention.ms"].value == "86400000"
change = ConfigResource(ResourceType.TOPIC, "cp", incremental_configs=[
    ConfigEntry("max.message.bytes", "500000", incremental_operation=AlterConfigOpType.SET),
])
answers(admin.incremental_alter_configs([change]))
after = configs()
assert after["max.message.bytes"].value == "500000"
assert after["retention.ms"].value == "86400000"
assert not after["max.message.bytes"].is_default
reset = ConfigResource(ResourceType.TOPIC, "cp", incremental_configs=[
    ConfigEntry("max.message.bytes", None, incremental_operation=AlterConfigOpType.DELETE),
])
answers(admin.incremental_alter_configs([reset]))
assert configs()["max.message.bytes"].value == "1048588"
unknown = ConfigResource(ResourceType.TOPIC, "cp", incremental_configs=[
    ConfigEntry("no.such.config", "1", incremental_operation=AlterConfigOpType.SET),
])
refused(admin.incremental_alter_configs([unknown])[unknown], "INVALID_CONFIG")
broker = ConfigResource(ResourceType.BROKER, "1")
assert "num.partitions" in answers(admin.describe_configs([broker]))[broker]

# Produce and fetch.
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    round_trip(f"cp-{codec}", {"compression.type": codec})
for acks in [0, 1, "all"]:
    round_trip(f"cp-acks-{acks}", {"acks": acks})
round_trip("cp-idempotent", {"enable.idempotence": True})

# Offsets: the ends, a time.
asked = [TopicPartition("cp-none", at) for at in range(PARTITIONS)]
for spec, wanted in [(OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 50), (OffsetSpec.for_timestamp(1), 0)]:
    for at, result in answers(admin.list_offsets({one: spec for one in asked})).items():
        assert result.offset == wanted, (at, spec, result.offset)

# Records deleted.
answers(admin.delete_records([TopicPartition("cp-none", at, 20) for at in range(PARTITIONS)]))
assert ends("cp-none") == [(20, 50)] * PARTITIONS
assert min(message.offset() for message in read("cp-none", 240)) == 20

# The cluster.
cluster = admin.describe_cluster().result(LIMIT)
assert cluster.cluster_id and len(cluster.nodes) == 1

answers(admin.delete_topics(["cp"]))
for _ in range(100):
    if "cp" not in admin.list_topics(timeout=LIMIT).topics:
        break
    time.sleep(0.1)
else:
    raise AssertionError("the topic is still listed")
print("all asserted: topics, partitions, configs, 5 codecs, acks 0 1 all, idempotent, offsets")
