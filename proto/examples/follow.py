"""Follows live detections: python follow.py ws://127.0.0.1:8080/ws TOKEN [--count N]   (needs PyPI `websockets`)"""
import argparse, asyncio, json, random, sys
import websockets

COME_BACK = {1000, 1001, 1005, 1006, 1011, 1012, 1013, 4408, 4429}  # 4409 only with a new token


async def follow(url, token, count):
    resume, wait = None, 0.5
    while True:
        try:
            async with websockets.connect(url, subprotocols=["tgmesh.v1.json", "bearer", token], max_size=2**20) as ws:
                await ws.send(json.dumps({"type": "subscribe", "id": "s1", "resume": resume} if resume else {"type": "subscribe", "id": "s1"}))
                async for text in ws:
                    frame = json.loads(text)
                    kind = frame.get("type")
                    if kind == "subscribed":
                        wait, epoch = 0.5, frame["epoch"]
                        if resume is None or resume["epoch"] != epoch:
                            resume = {"epoch": epoch, "after": frame["seq"]}
                    elif kind == "detection" and frame["seq"] > resume["after"]:  # never twice
                        resume["after"] = frame["seq"]
                        print(json.dumps(frame), flush=True)  # ASCII only: what chats say cannot steer a terminal
                        if count and (count := count - 1) == 0:
                            return 0
                    elif kind == "position":  # a quiet filter does not age out
                        resume = {"epoch": frame["epoch"], "after": frame["seq"]}
                    elif kind in ("gap", "error"):
                        print(json.dumps(frame), file=sys.stderr)
        except websockets.ConnectionClosed:
            pass
        except (OSError, websockets.InvalidHandshake) as error:
            print(f"no connection: {error!r}", file=sys.stderr)
