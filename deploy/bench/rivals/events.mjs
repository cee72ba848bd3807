// What both servers share: the detections that pass NATS, and an HTTP server that says it is ready.
import { createServer } from "node:http";
import { decode } from "@msgpack/msgpack";
import { connect } from "nats";

export const subscribed = { type: "subscribed", id: "s", epoch: "e", seq: 0 };

// Frames, one for each detection.
export async function* events() {
  const nats = await connect({ servers: process.env.NATS_URL });
  let seq = 0;
  for await (const message of nats.subscribe("tgmesh.v1.detections.>")) {
    yield { type: "detection", id: "s", seq: ++seq, data: decode(message.data) };
  }
}

export function server() {
  const http = createServer((request, response) => {
    response.writeHead(request.url === "/readyz" ? 200 : 404).end();
  });
  http.listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 });
  return http;
}
