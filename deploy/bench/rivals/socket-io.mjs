// Fan-out with the package socket.io, as its documentation has it: one room for each chat, which its
// adapter encodes a packet for once.
import { Server } from "socket.io";
import { server, subscribed, events } from "./events.mjs";

const sockets = new Server(server(), { transports: ["websocket"], perMessageDeflate: false });
sockets.on("connection", (socket) => {
  socket.on("frame", (frame) => {
    if (frame.type !== "subscribe") return;
    socket.join((frame.filter.chats ?? ["all"]).map(String));
    socket.emit("frame", subscribed);
  });
});
for await (const frame of events()) {
  sockets.to([String(frame.data.chat.id), "all"]).emit("frame", frame);
}
