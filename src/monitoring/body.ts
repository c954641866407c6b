/** Bodies of requests that come in chunks, without a length that they could be refused by. */
import type { Context } from 'hono';

/** Whether the request's body comes in chunks. */
export const isChunked = ({ req }: Context): boolean => req.header('transfer-encoding') !== undefined;

/** Breaks the body off with an error once it is larger than `most` bytes. Returns whether it was. */
export function limitChunks(context: Context, most: number, tooLarge: Error): () => boolean {
  let size = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, out) {
      size += piece.byteLength;
      if (size > most) out.error(tooLarge);
      else out.enqueue(piece);
    },
  });
  const { req } = context;
  const body = req.raw.body?.pipeThrough(counter);
  if (body) req.raw = new Request(req.raw, { body, duplex: 'half' } as RequestInit);
  return () => size > most;
}
