import { connect, createServer } from 'node:net'

/** A TCP proxy on a free port that can cut all its connections and stay down until it is healed. */
export async function startProxy(port, host) {
  const open = new Set()
  let down = false
  const server = createServer((client) => {
    if (down) {
      client.destroy()
      return
    }
    const upstream = connect(port, host)
    for (const [here, there] of [[client, upstream], [upstream, client]]) {
      open.add(here)
      here.pipe(there)
      here.on('error', () => there.destroy())
      here.on('close', () => (open.delete(here), there.destroy()))
    }
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return {
    port: server.address().port,
    cut() {
      down = true
      for (const socket of open) socket.destroy()
    },
    heal() {
      down = false
    },
    close() {
      this.cut()
      server.close()
    },
  }
}
