// Apart from codec.ts, so that a page that speaks JSON does not carry the MessagePack library.
import { decode, encode } from '@msgpack/msgpack'

import { asServerFrame, type Codec } from './codec'

/** MessagePack binary frames. The socket's `binaryType` has to be `arraybuffer`. */
export const msgpack: Codec = {
  subprotocol: 'tgmesh.v1.msgpack',
  encode: (frame) => encode(frame, { ignoreUndefined: true }),
  decode(data) {
    if (!(data instanceof ArrayBuffer || ArrayBuffer.isView(data))) return undefined
    try {
      return asServerFrame(decode(data))
    } catch {
      return undefined
    }
  },
}
