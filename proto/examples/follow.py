"""Prints live detections as JSON lines: python follow.py ws://127.0.0.1:8080/ws TOKEN [--count N]

Needs PyPI `websockets`. Comes back by itself, goes on where it stood, prints nothing twice."""
import argparse, asyncio, json, random, sys

from websockets import ConnectionClosed, InvalidHandshake, InvalidStatus, connect

COME_BACK = {1000, 1001, 1005, 1006, 1011, 1012, 1013, 4408, 4429}  # 4409 wants a new token; the rest are refusals


async def follow(url, token, count):
    epoch, seen, resume, tries = None, 0, None, 0
    while True:
        advised = 0
        try:
            async with connect(url, subprotocols=["tgmesh.v1.json", "bearer", token], max_size=2**20) as ws:
                code = 1006
                await ws.send(json.dumps({"type": "subscribe", "id": "s1"} | ({"resume": resume} if resume else {})))
                while True:  # the server tells a position at least every 10 s: silence is a dead link
                    frame = json.loads(await asyncio.wait_for(ws.recv(), 25))
                    if frame["type"] == "subscribed":
                        if resume and not frame["recovered"]:
                            print(json.dumps({"missed_after": resume, **frame}), file=sys.stderr)
                        if frame["epoch"] != epoch:  # another stream counts from 1 again
                            epoch, seen, resume = frame["epoch"], 0, {"epoch": frame["epoch"], "after": frame["seq"]}
                        tries = 0
                    elif frame["type"] == "detection" and frame["seq"] > seen:
                        seen = resume["after"] = frame["seq"]
                        # json.dumps escapes all but ASCII, and so what a chat uses to steer a terminal; DEL it leaves.
                        print(json.dumps(frame).replace("\x7f", "\\u007f"), flush=True)
                        if (count := count - 1) == 0:
                            return 0
                    elif frame["type"] == "position":  # resuming from it, a quiet filter does not age out
                        resume = {"epoch": frame["epoch"], "after": frame["seq"]}
                    elif frame["type"] == "gap":  # told once: what is gone does not come back
                        seen = resume["after"] = max(seen, frame["to"])
                        print(json.dumps({"lost": frame}), file=sys.stderr)
                    elif frame["type"] == "reconnect":
                        advised = frame["after_ms"] / 1000
                    elif frame["type"] == "error":
                        print(json.dumps(frame), file=sys.stderr)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
        except (OSError, TimeoutError, InvalidHandshake) as error:
            code = 4400 if isinstance(error, InvalidStatus) and error.response.status_code < 500 else 1006
        if code not in COME_BACK:
            print(f"refused with {code}", file=sys.stderr)
            return 1
        tries += 1
        await asyncio.sleep(max(advised * random.uniform(1, 1.5), min(30, 0.25 * 2 ** min(tries, 7)) * random.uniform(0.5, 1)))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url")
    arguments.add_argument("token")
    arguments.add_argument("--count", type=int, default=0, help="exit after N detections (default: never)")
    given = arguments.parse_args()
    try:
        sys.exit(asyncio.run(follow(given.url, given.token, given.count)))
    except KeyboardInterrupt:
        sys.exit(130)
