"""Connects Telethon to the simulator with a seeded session and checks what it sees.

Prints "listening" when it waits for live messages; exits 1 with a traceback when anything is
not as it should be.
"""

import asyncio
import json
import os
import sys

from telethon import TelegramClient, connection, errors, events, functions
from telethon.crypto import AuthKey
from telethon.sessions import MemorySession

TRANSPORTS = {
    "full": connection.ConnectionTcpFull,
    "abridged": connection.ConnectionTcpAbridged,
    "intermediate": connection.ConnectionTcpIntermediate,
}


async def main() -> None:
    account = json.loads(os.environ["SIM_ACCOUNT"])
    chats = {chat["id"]: chat for chat in json.loads(os.environ["SIM_CHATS"])}
    joined = {id: chat for id, chat in chats.items() if account["name"] in chat["accounts"]}
    first = {}
    for chat in joined.values():
        first.setdefault(chat["kind"], chat)

    host, port = account["address"].rsplit(":", 1)
    session = MemorySession()
    session.set_dc(account["dc_id"], host, int(port))
    session.auth_key = AuthKey(bytes.fromhex(account["auth_key"]))
    client = TelegramClient(
        session, 1, "0" * 32, connection=TRANSPORTS[sys.argv[1]], connection_retries=1, request_retries=1
    )
    await client.connect()
    assert await client.is_user_authorized()
    me = await client.get_me()
    assert me.id == account["user_id"], me

    dialogs = {dialog.id: dialog async for dialog in client.iter_dialogs()}
    assert set(dialogs) == set(joined), (set(dialogs), set(joined))
    for id, dialog in dialogs.items():
        if joined[id]["kind"] != "user":
            assert dialog.title == joined[id]["title"], dialog

    for chat in first.values():
        history = [message async for message in client.iter_messages(chat["id"], limit=200)]
        assert len(history) >= 12, (chat, len(history))
        ids = [message.id for message in history]
        assert ids == sorted(ids, reverse=True)
        onwards = [m.id async for m in client.iter_messages(chat["id"], reverse=True, offset_id=ids[-1])]
        assert onwards == ids[-2::-1], (chat["kind"], onwards, ids)

    named = next(chat for chat in joined.values() if chat["username"])
    entity = await client.get_entity(named["username"])
    assert entity.title == named["title"], entity
    try:
        await client(functions.account.GetAuthorizationsRequest())
        raise AssertionError("it was answered")
    except errors.RPCError as error:
        assert error.code == 400, error

    arrived: asyncio.Queue = asyncio.Queue()

    @client.on(events.NewMessage)
    async def _(event):
        await arrived.put(("new", event.chat_id, event.raw_text, event.message))

    @client.on(events.MessageEdited)
    async def _(event):
        await arrived.put(("edit", event.chat_id, event.raw_text, event.message))

    @client.on(events.MessageDeleted)
    async def _(event):
        await arrived.put(("delete", event.chat_id, "", event.deleted_ids))

    print("listening", flush=True)
    seen = {}
    while len(seen) < 6:
        kind, chat_id, text, what = await asyncio.wait_for(arrived.get(), 20)
        seen[(kind, chat_id)] = (text, what)

    channel = first["channel"]["id"]
    text, message = seen[("new", channel)]
    assert text == "live from the channel", text
    assert message.entities[0].length == 4, message.entities
    assert message.buttons[0][0].url == "https://example.org/", message.buttons
    text, message = seen[("edit", channel)]
    assert text == "changed in the channel" and message.edit_date, message
    assert seen[("delete", channel)][1] == [message.id], seen
    for kind in ("supergroup", "group", "user"):
        chat = first[kind]
        text, _ = seen[("new", chat["id"])]
        assert text == f"live from {chat['title']}", (kind, text)
    await client.disconnect()


asyncio.run(asyncio.wait_for(main(), 50))
