"""Reads one durable stream with durable-streams of PyPI until the mark of the end comes.

Arguments: URL, what (events or table), live mode (long-poll or sse), file for what was read. The token is in CLIENTS_TOKEN. When a
session ends, another one begins at the offset that was kept. A table is folded as the State Protocol says.
"""

import json
import os
import sys
import time

from durable_streams import stream

url, what, live, file = sys.argv[1:]
headers = {} if "/public/" in url else {"Authorization": "Bearer " + os.environ["CLIENTS_TOKEN"]}
sessions = repeated = 0
events, rows, offset = [], {}, "-1"


def finish(read):
    with open(file, "w", encoding="utf-8") as out:
        json.dump({"sessions": sessions, "repeated": repeated, "read": read}, out)
    sys.exit(0)


def take_event(event):
    global repeated
    if events and event["seq"] <= events[-1]["seq"]:
        repeated += 1
        return
    events.append(event)
    if event["payload"].get("end"):
        finish(events)


def take_change(message):
    control = message["headers"].get("control")
    if control == "reset":
        rows.clear()
    elif control is None:
        key = message["key"]
        if message["headers"]["operation"] == "delete":
            rows.pop(key, None)
        else:
            rows[key] = message["value"]
            if message["value"].get("state") == "end":
                finish([{"key": key, "value": value} for key, value in rows.items()])


take = take_event if what == "events" else take_change
while True:
    sessions += 1
    try:
        with stream(url, headers=headers, offset=offset, live=live) as session:
            for batch in session.iter_events("json"):
                for item in batch.data if isinstance(batch.data, list) else [batch.data]:
                    take(item)
                offset = batch.next_offset
    except Exception as error:  # the node was killed: whatever the library makes of that
        print(f"{what} over {live}: {str(error)[:200]!r}", file=sys.stderr)
    time.sleep(0.1)
