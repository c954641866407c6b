/**
 * Logs a run's metrics and completions for TensorBoard: a file of records (TFRecord: length, masked CRC-32C of the
 * length, data, masked CRC-32C of the data), each an Event message (tensorflow/core/util/event.proto).
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { messageOf } from '../../error.ts';
import { fileError } from '../../files.ts';
import type { RunLogger } from './logger.ts';

/** Logs to a folder. @throws HeedError if the folder cannot be written. */
export function createTensorBoard(folder: string, onWarning: (text: string) => void): RunLogger {
  const now = Date.now();
  const name = `events.out.tfevents.${String(Math.floor(now / 1000)).padStart(10, '0')}.${hostname()}.${process.pid}.${now % 1000}`;
  const path = join(folder, name);
  let file: number | undefined;
  try {
    mkdirSync(folder, { recursive: true });
    file = openSync(path, 'ax');
  } catch (error) {
    throw fileError(error, 'write', path);
  }
  const write = (event: BinaryWriter) => {
    if (file === undefined) return;
    try {
      writeSync(file, record(event.finish()));
    } catch (error) {
      onWarning(`TensorBoard's events cannot be written: ${messageOf(error)}. Training continues.`);
      closeSync(file);
      file = undefined;
    }
  };
  write(
    eventAt(now / 1000, 0)
      .tag(3, WireType.LengthDelimited)
      .string('brain.Event:2'),
  );
  let begun = false;
  /** Starts a file. A resumed run repeats steps; this event makes TensorBoard drop the earlier ones. */
  const begin = (time: number, step: number) => {
    if (begun) return;
    begun = true;
    const START = 1;
    write(message(eventAt(time, step), 7, (log) => log.tag(1, WireType.Varint).int32(START)));
  };
  return {
    metrics({ step, time, ...values }) {
      begin(time, step);
      const event = eventAt(time, step);
      message(event, 5, (summary) => {
        for (const [tag, value] of Object.entries(values)) {
          message(summary, 1, (one) => {
            one.tag(1, WireType.LengthDelimited).string(tag).tag(2, WireType.Bit32).float(value);
          });
        }
      });
      write(event);
    },
    sample({ kind, step, index, prompt, text }) {
      if (kind !== 'answer' || typeof step !== 'number' || typeof text !== 'string') return;
      begin(Date.now() / 1000, step);
      const question = typeof prompt === 'string' ? prompt : JSON.stringify(prompt ?? '');
      write(textEvent(step, `answer/${index}`, `${quoted(question)}\n\n${text}`));
    },
    async close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

const quoted = (text: string) => text.replaceAll(/^/gm, '> ');

const eventAt = (time: number, step: number) =>
  new BinaryWriter().tag(1, WireType.Bit64).double(time).tag(2, WireType.Varint).int64(Math.trunc(step));

/** Writes a message as a field of another. */
function message(writer: BinaryWriter, field: number, fill: (inner: BinaryWriter) => void): BinaryWriter {
  writer.tag(field, WireType.LengthDelimited).fork();
  fill(writer);
  return writer.join();
}

/** A text event in the form that the text plugin expects: a tensor of one string. */
function textEvent(step: number, tag: string, text: string): BinaryWriter {
  const STRING = 7;
  const event = eventAt(Date.now() / 1000, step);
  return message(event, 5, (summary) =>
    message(summary, 1, (value) => {
      value.tag(1, WireType.LengthDelimited).string(tag);
      message(value, 9, (metadata) =>
        message(metadata, 1, (plugin) => plugin.tag(1, WireType.LengthDelimited).string('text')),
      );
      message(value, 8, (tensor) => {
        tensor.tag(1, WireType.Varint).int32(STRING);
        message(tensor, 2, (shape) => message(shape, 2, (size) => size.tag(1, WireType.Varint).int64(1)));
        tensor.tag(8, WireType.LengthDelimited).string(text);
      });
    }),
  );
}

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
