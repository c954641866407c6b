/** How large bodies of requests may be: each, those of one sender together, and those of everybody together. */
import type { Context, MiddlewareHandler } from 'hono';
import { HttpError } from './errors.ts';
import { createShares } from './shares.ts';

/** What a request may send. */
export interface BodyLimit {
  /** Bytes of the body at most. */
  largest: number;
  /** What to do about a body that is too large. */
  hint?: string;
  /** Who sends it; undefined: it does not count as under way. */
  sender?: string;
}

/** Limits of bodies that are under way at once. */
export interface BodiesUnderWay {
  /** Largest bodies of one sender at most. */
  each: number;
  /** Bytes of all senders at most. */
  all: number;
  /** The server's name in messages. */
  name: string;
}

/**
 * Refuses bodies that are too large: before they are read where the request says its length, else as soon as they are.
 * OpenAI's client for Node sends files in chunks, without a length.
 */
export function limitBody(limitOf: (context: Context) => BodyLimit, underWay?: BodiesUnderWay): MiddlewareHandler {
  const shares = createShares();
  return async (context, next) => {
    const { largest, hint, sender } = limitOf(context);
    const tooLarge = new HttpError(413, `The body is larger than ${sizeText(largest)}.`, hint);
    const isChunked = context.req.header('transfer-encoding') !== undefined;
    // the size of a body in chunks is not known yet
    const length = isChunked ? largest : Number(context.req.header('content-length') ?? 0);
    if (length > largest) throw tooLarge;
    const release =
      underWay && sender !== undefined && length > 0
        ? admit(sender, { length, most: underWay.each * largest, underWay })
        : undefined;
    const isTooLarge = isChunked ? limitChunks(context, largest, tooLarge) : undefined;
    try {
      await next();
      if (isTooLarge?.()) throw tooLarge; // whatever the route made of a body that broke off
    } finally {
      release?.();
    }
  };

  function admit(
    sender: string,
    { length, most, underWay }: { length: number; most: number; underWay: BodiesUnderWay },
  ): () => void {
    if (shares.of(sender) + length > most) {
      throw new HttpError(429, 'You are sending too much at once.', 'Wait until your other requests are done.');
    }
    if (shares.total + length > underWay.all) {
      throw new HttpError(503, `The ${underWay.name} is receiving too much at once.`, 'Try again in a moment.');
    }
    return shares.take(sender, length);
  }
}

const MIB = 2 ** 20;
const sizeText = (bytes: number) => (bytes < MIB ? `${bytes / 1024} KiB` : `${bytes / MIB} MiB`);

/** Breaks the body off with an error once it is larger than `most` bytes. Returns whether it was. */
function limitChunks(context: Context, most: number, tooLarge: Error): () => boolean {
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

/** The JSON in the body of a request; an empty object if there is no body and it `isOptional`. @throws HttpError 400 */
export async function readJsonBody({ req }: Context, { isOptional = false } = {}): Promise<unknown> {
  try {
    const text = await req.text();
    return isOptional && text === '' ? {} : JSON.parse(text);
  } catch (cause) {
    throw new HttpError(400, 'The body is not JSON.', undefined, { cause });
  }
}
