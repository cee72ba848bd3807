// Follows a gateway under Node with the wire client alone, and prints a line of JSON for each
// detection and each loss; where the connection stands goes to standard error.
//
//     node --experimental-websocket e2e/follow.mjs ws://127.0.0.1:8080/ws TOKEN
//
// (Node 22 has a WebSocket without the flag.) The tests run it through kills of a real gateway.
import { fileURLToPath } from 'node:url'

import { createServer } from 'vite'

const [url, token] = process.argv.slice(2)
if (!url || !token) {
  console.error('usage: follow.mjs URL TOKEN')
  process.exit(64)
}
// Node 20 runs no TypeScript: Vite translates the client's own sources, nothing is served.
const vite = await createServer({
  configFile: false,
  root: fileURLToPath(new URL('..', import.meta.url)),
  appType: 'custom',
  logLevel: 'error',
  server: { middlewareMode: true, watch: null, hmr: false, ws: false },
})
const { Client } = await vite.ssrLoadModule('/src/wire/index.ts')
await vite.close()

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const client = new Client({
  url,
  token,
  connection: (connection) => console.error(JSON.stringify(connection)),
})
client.subscribe(
  {},
  {
    delivery: ({ seq, detection }) => tell({ seq, id: detection.id }),
    lost: (loss) => tell({ lost: loss }),
  },
)
client.connect()
