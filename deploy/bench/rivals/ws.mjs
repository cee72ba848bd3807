// Fan-out with the package ws: each frame is encoded once, and sent to the sockets of its chat.
import { WebSocketServer } from "ws";
import { events, server, subscribed } from "./events.mjs";

const ALL = "all";
const rooms = new Map();
const room = (name) => rooms.get(name) ?? rooms.set(name, new Set()).get(name);

const sockets = new WebSocketServer({ server: server(), path: "/ws", perMessageDeflate: false });
sockets.on("connection", (socket) => {
  socket.on("message", (text) => {
    const frame = JSON.parse(text);
    if (frame.type !== "subscribe") return;
    for (const name of frame.filter.chats ?? [ALL]) room(name).add(socket);
    socket.send(JSON.stringify(subscribed));
  });
  socket.on("close", () => rooms.forEach((members) => members.delete(socket)));
});
for await (const frame of events()) {
  // A buffer goes to each socket as it is; a string would be encoded again for each.
  const encoded = Buffer.from(JSON.stringify(frame));
  for (const name of [frame.data.chat.id, ALL]) {
    for (const socket of room(name)) socket.send(encoded, { binary: false });
  }
}
