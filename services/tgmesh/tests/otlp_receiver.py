"""Receives OTLP (HTTP/protobuf) and prints one JSON line a span: an independent look at the traces.

    python otlp_receiver.py PORT
"""

import asyncio
import json
import sys

from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings


async def main(port: int) -> None:
    settings = OtelTapHttpProtobufReceiverSettings(http_port=port, listen_on_all_interfaces=False)
    async with OtelTapHttpProtobufReceiver(settings) as receiver:
        spans = receiver.stream_traces()
        print(json.dumps({"listening": port}), flush=True)
        async for span in spans:
            line = {
                "trace": span.trace_id.hex(),
                "span": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "name": span.name,
                "links": [link.trace_id.hex() for link in span.links],
                "start": span.start_time_unix_nano,
                "end": span.end_time_unix_nano,
            }
            print(json.dumps(line), flush=True)


asyncio.run(main(int(sys.argv[1])))
