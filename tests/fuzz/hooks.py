"""What schemathesis does not know of itself: NDJSON, connections that become WebSockets, and what may be refused though the
document allows it."""

import json
import re

import requests
import schemathesis
from hypothesis import strategies as st

# The subjects of the tokens in scripts/fuzz.
OWN = re.compile(r"fuzz-[a-z]+\Z")


# Of itself schemathesis knows times in UTC alone, and none at the ends of what can be written.
schemathesis.openapi.format(
    "date-time",
    st.builds(
        "{}{}".format,
        st.sampled_from(["0000-01-01T00:00:00", "9999-12-31T23:59:59.999999999", "2016-02-29T12:00:00"])
        | st.datetimes().map(lambda at: at.isoformat()),
        st.sampled_from(["Z", "z", "+00:00", "-00:00", "+23:59", "-23:59", "+01:00"]),
    ),
)


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(_context, value):
    events = value if isinstance(value, list) else [value]
    return "".join(json.dumps(event) + "\n" for event in events).encode()


# A connection that was upgraded is no longer one for requests, which the library does not know.
_send = requests.adapters.HTTPAdapter.send


def _send_and_leave(self, request, **kwargs):
    response = _send(self, request, **kwargs)
    if response.status_code == 101:
        response.raw.close()
    return response


requests.adapters.HTTPAdapter.send = _send_and_leave


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """No long waits: a second tells as much as thirty. And what no schema of parameters can say, that some exclude each other,
    is not what most requests shall be refused for."""
    query = case.query or {}
    if re.fullmatch(r"[2-9]|[12][0-9]|30", str(query.get("wait", ""))):
        query["wait"] = 1
    if not is_valid(case):
        return
    if "cursor" in query and "last" in query:
        del query["cursor" if str(query["last"]) < "5" else "last"]
    # Two lists at one address: what belongs to the other is left out.
    if case.path == "/v1/config":
        if str(query.get("history", "")).lower() != "true":
            for name in ("order", "since", "until"):
                query.pop(name, None)
        elif not re.fullmatch(r"-?[0-9]+\.[0-9a-f]{32}", str(query.get("cursor", "0"))):
            query.pop("cursor", None)


def is_valid(case):
    """Whether a request is as the document wants it."""
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def filter_body(_context, body):
    """Nobody revokes the tokens that this runs with."""
    return not (isinstance(body, dict) and isinstance(body.get("subject"), str) and OWN.match(body["subject"]))


@schemathesis.check
def valid_requests_are_accepted(_context, response, case):
    """What the document allows is taken, but for what only the state of the server, or bytes, can tell."""
    if not is_valid(case) or response.status_code not in (400, 422, 426):
        return
    scenario = getattr(case.meta.phase.data, "scenario", None)
    if scenario is not None and "METHOD" in str(scenario).upper():
        return
    # Of a HEAD there is nothing to read.
    if case.method == "HEAD":
        return
    problem = response.json()
    if not excused(problem["code"], case):
        raise AssertionError(f"A request as documented was refused: {problem['code']}: {problem['detail']}")


def excused(code, case):
    query, headers, body = case.query or {}, case.headers or {}, case.body
    if code in ("cursor_invalid", "idempotency_conflict"):
        return True
    if too_much_for_a_schema(query) or too_much_for_a_schema(body):
        return True
    if code == "bad_request":
        return (
            # They exclude each other.
            "Idempotency-Key" in headers and "dedupe_key" in json.dumps(body, default=str)
            # Known to administrators alone.
            or case.path == "/v1/conversations" and "owner" in query
        )
    if code == "invalid_order":
        # A trade that is not there, or a report that does not fit the order.
        return case.method == "PATCH" or isinstance(body, dict) and body.get("trade_id") is not None
    if code == "invalid_setting":
        return "[redacted]" in json.dumps(body)
    return False


# Limits that are in bytes, which a schema cannot say.
BYTES = {
    "symbol": 64, "subject": 128, "owner": 256, "dedupe_key": 256, "client_order_id": 128, "reason": 1000,
    "reject_reason": 4000, "cursor": 256, "text": 32 * 1024,
}


def too_much_for_a_schema(value):
    """Whether something in it has more bytes than characters are allowed; or is JSON that may be anything and holds a NUL; or a
    text with one of the code points beyond the first plane that are no characters."""
    if isinstance(value, list):
        return any(map(too_much_for_a_schema, value))
    if not isinstance(value, dict):
        return False
    for name, one in value.items():
        if isinstance(one, str) and len(one.encode()) > max(len(one), BYTES.get(name, 1 << 20)):
            return True
        if name in ("payload", "value", "positions") and "\\u0000" in json.dumps(one):
            return True
        if name == "text" and isinstance(one, str) and any(ord(c) > 0xFFFF and ord(c) & 0xFFFE == 0xFFFE for c in one):
            return True
    return False
