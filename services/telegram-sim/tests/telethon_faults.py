"""Connects Telethon to the simulator, breaks it by its control port, and checks what Telethon sees.

Exits 1 with a traceback when anything is not as it should be.
"""

import asyncio
import json
import os
import urllib.request

from telethon import TelegramClient, errors, events, functions
from telethon.crypto import AuthKey
from telethon.sessions import MemorySession

CONTROL = os.environ["SIM_CONTROL"]


def ask(method: str, path: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(CONTROL + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


async def control(method: str, path: str, body=None):
    return await asyncio.to_thread(ask, method, path, body)


async def fault(**fields) -> str:
    return (await control("POST", "/faults", fields))["id"]


async def heal(id: str) -> int:
    return (await control("DELETE", f"/faults/{id}"))["hits"]


async def main() -> None:
    account = json.loads(os.environ["SIM_ACCOUNT"])
    chats = json.loads(os.environ["SIM_CHATS"])
    chat = next(c for c in chats if c["kind"] == "channel" and account["name"] in c["accounts"])

    host, port = account["address"].rsplit(":", 1)
    session = MemorySession()
    session.set_dc(account["dc_id"], host, int(port))
    session.auth_key = AuthKey(bytes.fromhex(account["auth_key"]))
    client = TelegramClient(
        session, 1, "0" * 32, connection_retries=5, retry_delay=0, request_retries=1, flood_sleep_threshold=0
    )
    await client.connect()
    entity = await client.get_entity(chat["username"])

    async def read():
        return [message.id async for message in client.iter_messages(entity, limit=3)]

    before = await read()

    async def refused(expected, **fields):
        id = await fault(chat_id=chat["id"], **fields)
        try:
            await read()
            raise AssertionError("it was answered")
        except expected as error:
            assert await heal(id) >= 1
            assert await read() == before
            return error

    # Telethon remembers a longer wait and refuses by itself.
    error = await refused(errors.FloodWaitError, kind="flood_wait", seconds=2, method="messages.getHistory")
    assert error.seconds == 2, error
    await refused(errors.ChannelPrivateError, kind="channel_lost", message="CHANNEL_PRIVATE")
    await refused(errors.ChannelInvalidError, kind="rpc_error", code=400, message="CHANNEL_INVALID")
    await refused(errors.AuthKeyDuplicatedError, kind="rpc_error", code=406, message="AUTH_KEY_DUPLICATED")
    await refused(errors.SessionRevokedError, kind="rpc_error", code=401, message="SESSION_REVOKED")

    # Refused packets are sent again without a word.
    for fields in ({"kind": "bad_salt"}, {"kind": "bad_message", "code": 16}):
        id = await fault(count=1, **fields)
        assert await read() == before
        assert await heal(id) == 1, fields

    # A message that is unreadable to it is readable once the fault is healed.
    id = await fault(kind="unknown_media", chat_id=chat["id"], count=1)
    odd = (await control("POST", "/messages", {"chat_id": chat["id"], "text": "odd"}))["message_id"]
    try:
        await read()
        raise AssertionError("it was read")
    except errors.TypeNotFoundError as error:
        assert error.invalid_constructor_id == 0x7E570002, error
    assert await heal(id) == 1
    assert (await read())[0] == odd

    # A deleted message is nothing, one that is late as well, until it is shown.
    id = await fault(kind="late", chat_id=chat["id"], after_ms=3_600_000, count=1)
    late = (await control("POST", "/messages", {"chat_id": chat["id"], "text": "late"}))["message_id"]
    assert await client.get_messages(entity, ids=late) is None
    await heal(id)
    assert (await client.get_messages(entity, ids=late)).raw_text == "late"

    # Duplicates and a closed connection: it goes on, and each message comes at least once.
    arrived: asyncio.Queue = asyncio.Queue()

    @client.on(events.NewMessage)
    async def _(event):
        await arrived.put(event.raw_text)

    await client(functions.updates.GetStateRequest())
    await fault(id="twice", kind="duplicated", chat_id=chat["id"])
    await control("POST", "/messages", {"chat_id": chat["id"], "text": "twice"})
    assert await asyncio.wait_for(arrived.get(), 20) == "twice"
    assert await heal("twice") == 1
    closed = await fault(kind="close", account=account["name"])
    assert await heal(closed) == 1
    assert late in await read()
    await client.disconnect()


asyncio.run(asyncio.wait_for(main(), 50))
