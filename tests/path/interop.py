"""Reads entries of a stream with the CloudEvents SDK for Python and writes each back in both modes.

One JSON object a line on standard input and output; bytes are in base64. An entry's fields are what the SDK's Kafka
binding calls headers and value, since no binding for Redis exists: our binary mode uses the same names.
"""

import base64
import json
import sys

from cloudevents.core.bindings import kafka
from cloudevents.core.bindings.kafka import KafkaMessage
from cloudevents.core.formats.json import JSONFormat

FORMAT = JSONFormat()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def message(fields: dict[str, bytes]) -> KafkaMessage:
    if "event" in fields:
        return KafkaMessage(headers={}, key=None, value=fields["event"])
    value = fields.pop("data", b"")
    return KafkaMessage(headers=fields, key=None, value=value)


def seen(data: object) -> dict[str, object]:
    if isinstance(data, (bytes, bytearray)):
        return {"bytes": encoded(bytes(data))}
    return {"value": data}


for line in sys.stdin:
    fields = {name: base64.b64decode(value) for name, value in json.loads(line)}
    event = kafka.from_kafka(message(fields), FORMAT)
    attributes = {name: str(value) for name, value in event.get_attributes().items() if name != "time"}
    if event.get_time() is not None:
        attributes["time"] = event.get_time().isoformat()
    binary = kafka.to_binary(event, FORMAT)
    written = {**binary.headers, **({} if event.get_data() is None else {"data": binary.value})}
    answer = {
        "attributes": attributes,
        "data": seen(event.get_data()),
        "structured": encoded(kafka.to_structured(event, FORMAT).value),
        "binary": [[name, encoded(value)] for name, value in written.items()],
    }
    print(json.dumps(answer), flush=True)
