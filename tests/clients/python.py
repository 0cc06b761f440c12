"""Follows the stream with `websockets`. Run by scripts/clients."""

import socket

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from shared import PATIENCE, TOKEN, WS, Reader, append, check, cursor_of, json, main, truth

HEADER = {"Authorization": "Bearer " + TOKEN}


def session(query="", headers=HEADER, protocols=None):
    return connect(
        WS + query,
        additional_headers=headers,
        subprotocols=protocols,
        proxy=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        max_size=4 << 20,
    )


def reader(ws):
    return Reader(lambda: ws.recv(timeout=PATIENCE))


def leave(ws):
    ws.close(1000, "bye")
    check("the answer to a close", (ws.close_code, ws.close_reason), (1000, "bye"))


def drop(ws):
    """Ends the connection without a word, as a program does that crashes."""
    ws.socket.shutdown(socket.SHUT_RDWR)


def tokens():
    with session() as ws:
        check("no sub-protocol", ws.subprotocol, None)
        reader(ws).hello()
        leave(ws)
    with session(headers={}, protocols=["rowcast.v1", "bearer." + TOKEN]) as ws:
        check("the sub-protocol", ws.subprotocol, "rowcast.v1")
        reader(ws).hello()
        leave(ws)
    with session(headers={}) as ws:
        ws.send(json.dumps({"op": "auth", "token": TOKEN}))
        reader(ws).hello()
        leave(ws)
    try:
        session(headers={"Authorization": "Bearer " + TOKEN[:-4] + "AAAA"}).close()
        raise AssertionError("a forged token came in")
    except InvalidStatus as refused:
        check("a forged token", refused.response.status_code, 401)


def follow():
    append(60, "python.backlog")
    expected = truth()
    with session("?cursor=earliest") as ws:
        stream = reader(ws)
        stream.hello()
        stream.until("live")
        check("the backlog", stream.take(len(expected)), expected)
        append(25, "python.live")
        expected = truth()
        check("backlog and live", stream.take(len(expected)), expected)
        ws.send(json.dumps({"op": "ping"}))
        stream.until("pong")
        ws.ping().wait(PATIENCE)
        # Another subscription in the same session, from the beginning.
        ws.send(json.dumps({"op": "subscribe", "cursor": "earliest", "type": "python.live"}))
        while stream.read()["op"] != "hello":
            pass
        stream.events = []
        stream.forget()
        append(3, "python.other")
        append(2, "python.live")
        expected = truth(kind="python.live")
        check("the new subscription", stream.take(len(expected)), expected)
        check("how many these are", len(expected), 27)
        leave(ws)


def resume():
    """Dropped again and again in the middle of it, while more is appended."""
    append(40, "python.resume")
    got, cursor, times = [], "earliest", 0
    while times < 8:
        ws = session(f"?type=python.resume&cursor={cursor}")
        stream = reader(ws)
        stream.hello()
        while len(stream.events) < 7:
            stream.read()
        drop(ws)
        got += stream.events
        cursor = cursor_of(got[-1])
        append(5, "python.resume", begin=100 + 5 * times)
        times += 1
    expected = truth(kind="python.resume")
    with session(f"?type=python.resume&cursor={cursor}") as ws:
        stream = reader(ws)
        stream.hello()
        got += stream.take(len(expected) - len(got))
        leave(ws)
    check("what was resumed", got, expected)


def refused(query, code, reason, first=None):
    with session(query) as ws:
        if first is not None:
            reader(ws).until("hello")
            ws.send(first)
        try:
            said = json.loads(ws.recv(timeout=PATIENCE))
            while said["op"] not in ("error", "hello"):
                said = json.loads(ws.recv(timeout=PATIENCE))
            check(f"{query} {first}", (said["op"], said["code"]), ("error", reason))
            ws.recv(timeout=PATIENCE)
            raise AssertionError("more came after the error")
        except ConnectionClosed as closed:
            check(f"{query} {first}", (closed.rcvd.code, closed.rcvd.reason), (code, reason))


def ends():
    refused("?cursor=nonsense", 4400, "bad_request")
    refused("?typ=a.b", 4400, "bad_request")
    refused("?cursor=1.00000000", 4411, "cursor_invalid")
    refused("?cursor=999999999", 4411, "cursor_invalid")
    refused("", 4400, "bad_request", b"\x00\x01")
    refused("", 4400, "bad_request", "[]")
    refused("", 1009, "message_too_big", " " * 65_537)
    refused("", 4401, "unauthorized", json.dumps({"op": "auth", "token": "a.b.c"}))


def work():
    tokens()
    follow()
    resume()
    ends()
    return f"python websockets {websockets.__version__}: tokens, backlog, live, subscribe, 8 drops, heartbeats, closes"


main("python websockets", work)
