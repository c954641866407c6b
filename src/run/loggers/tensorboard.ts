/**
 * Logs a run's metrics and completions for TensorBoard: a file of records (TFRecord: length, masked CRC-32C of the
 * length, data, masked CRC-32C of the data), each an Event message (tensorflow/core/util/event.proto).
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../error.ts';
import { fileError } from '../../files.ts';
import { double, float, int, message, one, repeated, signed, text as string } from '../../protobuf.ts';
import type { RunLogger } from './logger.ts';

// The messages of event.proto, summary.proto and tensor.proto, as far as they are written here.

const metadataMessage = message({ plugin: one(1, message({ name: one(1, string) })) });

const tensorMessage = message({
  type: one(1, int),
  shape: one(2, message({ dimensions: repeated(2, message({ size: one(1, int) })) })),
  strings: repeated(8, string),
});

const valueMessage = message({
  tag: one(1, string),
  number: one(2, float),
  metadata: one(9, metadataMessage),
  tensor: one(8, tensorMessage),
});

const eventMessage = message({
  /** Seconds since 1970. */
  time: one(1, double),
  step: one(2, signed),
  version: one(3, string),
  summary: one(5, message({ values: repeated(1, valueMessage) })),
  session: one(7, message({ status: one(1, int) })),
});
type Event = Parameters<typeof eventMessage.encode>[0];

/** The status of a session that starts, and the type of a tensor of strings. */
const START = 1;
const STRING = 7;

/** Logs to a folder. @throws HeedError if the folder cannot be written. */
export function createTensorBoard(folder: string, onWarning: (text: string) => void): RunLogger {
  const opened = Date.now();
  const name = `events.out.tfevents.${String(Math.floor(opened / 1000)).padStart(10, '0')}.${hostname()}.${process.pid}.${opened % 1000}`;
  const path = join(folder, name);
  let file: number | undefined;
  try {
    mkdirSync(folder, { recursive: true });
    file = openSync(path, 'ax');
  } catch (error) {
    throw fileError(error, 'write', path);
  }
  const write = (event: Event) => {
    if (file === undefined) return;
    try {
      writeSync(file, record(eventMessage.encode(event)));
    } catch (error) {
      onWarning(`TensorBoard's events cannot be written: ${messageOf(error)}. Training continues.`);
      closeSync(file);
      file = undefined;
    }
  };
  write({ time: opened / 1000, step: 0, version: 'brain.Event:2' });
  let begun = false;
  /** Starts a file. A resumed run repeats steps; this event makes TensorBoard drop the earlier ones. */
  const begin = (time: number, step: number) => {
    if (begun) return;
    begun = true;
    write({ time, step: Math.trunc(step), session: { status: START } });
  };
  return {
    metrics({ step, time, ...values }) {
      begin(time, step);
      const numbers = Object.entries(values).map(([tag, number]) => ({ tag, number }));
      write({ time, step: Math.trunc(step), summary: { values: numbers } });
    },
    sample({ kind, step, index, prompt, text }) {
      if (kind !== 'completion' || typeof step !== 'number' || typeof text !== 'string') return;
      begin(Date.now() / 1000, step);
      const question = typeof prompt === 'string' ? prompt : JSON.stringify(prompt ?? '');
      write(textEvent(step, `completion/${index}`, `${quoted(question)}\n\n${text}`));
    },
    async close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

const quoted = (text: string) => text.replaceAll(/^/gm, '> ');

/** A text event in the form that the text plugin expects: a tensor of one string. */
const textEvent = (step: number, tag: string, text: string): Event => ({
  time: Date.now() / 1000,
  step: Math.trunc(step),
  summary: {
    values: [
      {
        tag,
        metadata: { plugin: { name: 'text' } },
        tensor: { type: STRING, shape: { dimensions: [{ size: 1 }] }, strings: [text] },
      },
    ],
  },
});

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(bytes.subarray(0, 8))), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return bytes;
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC-32 with Castagnoli's polynomial. */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = table[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/**
 * TFRecord's mask of a checksum: a checksum of data that contains checksums is weak, so it is rotated and a constant is
 * added.
 */
export const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
