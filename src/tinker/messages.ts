/**
 * The protocol's Protocol Buffers: requests of forward and backward passes, their results, and samples. Numbers lie in
 * bytes, little-endian: tokens as int32, the others as their dtype says.
 */
import { HeedError } from '../error.ts';
import { bool, bytes, double, int, map, message, one, repeated, text } from '../protobuf.ts';
import type { ForwardBackwardOutput, ForwardBackwardRequest, SampleResult, TensorData } from './protocol.ts';

/** The media type of these messages. */
export const PROTOBUF = 'application/x-protobuf';

const FLOAT32 = 1;
const INT64 = 2;
const INT32 = 3;
const BFLOAT16 = 4;
/** Bytes of a number that has not 4. */
const BYTES_PER: Readonly<Record<number, number>> = { [INT64]: 8, [BFLOAT16]: 2 };

const tensorMessage = message({
  dense: one(1, bytes),
  sparse: one(2, message({ values: one(1, bytes), rows: one(2, bytes), columns: one(3, bytes) })),
  dtype: one(3, int),
  shape: repeated(4, int),
});

const chunkMessage = message({
  text: one(1, message({ tokens: one(1, bytes) })),
  image: one(2, message({})),
  audio: one(3, message({})),
});

const forwardBackwardRequestMessage = message({
  model: one(1, text),
  sequence: one(2, int),
  data: repeated(3, message({ chunks: repeated(1, chunkMessage), inputs: map(2, tensorMessage) })),
  loss: one(4, text),
  config: map(5, double),
  forwardOnly: one(6, bool),
  settings: map(7, message({ number: one(1, double), text: one(2, text) })),
});

const batchedTensorMessage = message({
  data: one(1, bytes),
  offsets: one(2, bytes),
  dtype: one(3, int),
  trailingShape: repeated(4, int),
});

const forwardBackwardOutputMessage = message({
  type: one(1, text),
  outputs: repeated(2, message({ tag: one(1, text), fields: map(2, batchedTensorMessage), count: one(3, int) })),
  metrics: map(3, double),
});

const topMessage = message({ tokens: one(1, bytes), logprobs: one(2, bytes), k: one(3, int), length: one(4, int) });

const sampleMessage = message({
  sequences: repeated(
    1,
    message({ stop: one(1, int), tokens: one(2, bytes), logprobs: one(3, bytes), top: one(4, topMessage) }),
  ),
  promptLogprobs: one(2, bytes),
  cachedTokens: one(4, int),
});

/** Encodes a request. Its dtypes are those of its tensors. */
export const encodeForwardBackwardRequest = (request: ForwardBackwardRequest): Uint8Array<ArrayBuffer> => {
  const { data, loss_fn, loss_fn_config = {} } = request.forward_backward_input;
  const settings = Object.entries(loss_fn_config);
  return forwardBackwardRequestMessage.encode({
    model: request.model_id,
    sequence: request.seq_id ?? undefined,
    forwardOnly: request.forward_only,
    loss: loss_fn,
    // servers that do not know the newer settings read the older ones
    config: Object.fromEntries(settings.filter((pair): pair is [string, number] => typeof pair[1] === 'number')),
    settings: Object.fromEntries(
      settings.map(([name, value]) => [
        name,
        typeof value === 'string' ? { text: value, number: undefined } : { number: value, text: undefined },
      ]),
    ),
    data: data.map(({ model_input, loss_fn_inputs }) => ({
      chunks: model_input.chunks.map(({ tokens }) => ({
        text: { tokens: bytesOf(Int32Array.from(tokens)) },
        image: undefined,
        audio: undefined,
      })),
      inputs: Object.fromEntries(
        Object.entries(loss_fn_inputs).map(([name, { data, dtype, shape }]) => [
          name,
          {
            dense: bytesOf(dtype === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data)),
            sparse: undefined,
            dtype: dtype === 'int64' ? INT64 : FLOAT32,
            shape: shape ?? [data.length],
          },
        ]),
      ),
    })),
  });
};

/** Decodes a request into what the same request is in JSON, to be checked in the same way. */
export function decodeForwardBackwardRequest(body: Uint8Array): unknown {
  const { model, sequence, forwardOnly, loss, config, settings, data } = forwardBackwardRequestMessage.decode(body);
  const newer = Object.entries(settings).map(([name, { number, text }]) => [name, number ?? text ?? 0]);
  return {
    model_id: model ?? '',
    seq_id: sequence,
    forward_only: forwardOnly,
    forward_backward_input: {
      loss_fn: loss ?? '',
      loss_fn_config: newer.length > 0 ? Object.fromEntries(newer) : config,
      data: data.map(({ chunks, inputs }) => ({
        model_input: {
          chunks: chunks.map(({ text, image }) => ({
            type: (text && 'encoded_text') ?? (image && 'image') ?? 'dmel',
            tokens: text && Array.from(int32s(text.tokens)),
          })),
        },
        loss_fn_inputs: Object.fromEntries(
          Object.entries(inputs).map(([name, { dense, sparse, dtype, shape }]) => [
            name,
            {
              data: Array.from(numbersOf(sparse ? sparse.values : dense, dtype)),
              dtype: dtype === INT64 ? 'int64' : 'float32',
              shape,
              ...(sparse && { sparse_crow_indices: [] }),
            },
          ]),
        ),
      })),
    },
  };
}

/** Encodes a result. Every datum has the same outputs, each with one number for each token. */
export function encodeForwardBackwardOutput(output: ForwardBackwardOutput): Uint8Array<ArrayBuffer> {
  const { loss_fn_outputs: outputs } = output;
  const field = (name: string) => {
    const tensors = outputs.map((datum) => datum[name].data);
    const offsets = [0];
    for (const { length } of tensors) offsets.push(offsets.at(-1)! + 4 * length);
    return {
      data: bytesOf(Float32Array.from(tensors.flat())),
      offsets: bytesOf(BigInt64Array.from(offsets, BigInt)),
      dtype: FLOAT32,
      trailingShape: [],
    };
  };
  return forwardBackwardOutputMessage.encode({
    type: output.loss_fn_output_type,
    outputs: [
      {
        tag: output.loss_fn_output_type,
        count: outputs.length,
        fields: Object.fromEntries(Object.keys(outputs[0] ?? {}).map((name) => [name, field(name)])),
      },
    ],
    metrics: output.metrics,
  });
}

/** Decodes a result. */
export function decodeForwardBackwardOutput(body: Uint8Array): ForwardBackwardOutput {
  const { type = '', outputs, metrics } = forwardBackwardOutputMessage.decode(body);
  const data = outputs.flatMap(({ fields, count = 0 }) => {
    const parts: Record<string, TensorData>[] = Array.from({ length: count }, () => ({}));
    for (const [name, { data, offsets, dtype, trailingShape }] of Object.entries(fields)) {
      const numbers = Array.from(numbersOf(data, dtype));
      const places = Array.from(numbersOf(offsets, INT64), (offset) => offset / bytesPer(dtype));
      const trailing = trailingShape.reduce((a, b) => a * b, 1);
      for (const [i, part] of parts.entries()) {
        const slice = numbers.slice(places[i], places[i + 1]);
        const whole = dtype === INT64 || dtype === INT32;
        part[name] = {
          data: slice,
          dtype: whole ? 'int64' : 'float32',
          shape: [slice.length / trailing, ...trailingShape],
        };
      }
    }
    return parts;
  });
  return { loss_fn_output_type: type, loss_fn_outputs: data, metrics };
}

const STOPS = ['stop', 'length'] as const;

/** Encodes samples. A prompt's log-probability that was not computed is NaN. */
export const encodeSampleResult = ({ sequences, prompt_logprobs }: SampleResult): Uint8Array<ArrayBuffer> =>
  sampleMessage.encode({
    sequences: sequences.map(({ stop_reason, tokens, logprobs }) => ({
      stop: STOPS.indexOf(stop_reason),
      tokens: bytesOf(Int32Array.from(tokens)),
      logprobs: logprobs && bytesOf(Float32Array.from(logprobs)),
      top: undefined,
    })),
    promptLogprobs: prompt_logprobs && bytesOf(Float32Array.from(prompt_logprobs, (logprob) => logprob ?? Number.NaN)),
  });

/** Decodes samples. */
export function decodeSampleResult(body: Uint8Array): SampleResult {
  const { sequences, promptLogprobs } = sampleMessage.decode(body);
  return {
    type: 'sample',
    sequences: sequences.map(({ stop = 0, tokens, logprobs }) => ({
      stop_reason: STOPS[stop] ?? 'stop',
      tokens: Array.from(int32s(tokens)),
      ...(logprobs && { logprobs: Array.from(numbersOf(logprobs, FLOAT32)) }),
    })),
    ...(promptLogprobs && {
      prompt_logprobs: Array.from(numbersOf(promptLogprobs, FLOAT32), (logprob) =>
        Number.isNaN(logprob) ? null : logprob,
      ),
    }),
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const int32s = (data: Uint8Array<ArrayBuffer> | undefined) => numbersOf(data, INT32);
const bytesPer = (dtype: number | undefined) => BYTES_PER[dtype ?? FLOAT32] ?? 4;

/** The numbers in bytes; a bfloat16 is the upper half of a float32. */
function numbersOf(data: Uint8Array<ArrayBuffer> = new Uint8Array(), dtype: number | undefined): ArrayLike<number> {
  if (data.length % bytesPer(dtype) !== 0) {
    throw new HeedError(`The message is damaged: ${data.length} bytes are not a tensor.`);
  }
  if (dtype === FLOAT32) return new Float32Array(data.buffer);
  if (dtype === INT32) return new Int32Array(data.buffer);
  if (dtype === INT64) return Array.from(new BigInt64Array(data.buffer), Number);
  if (dtype === BFLOAT16)
    return new Float32Array(Uint32Array.from(new Uint16Array(data.buffer), (n) => n << 16).buffer);
  throw new HeedError(`The message has a tensor of the unknown type ${dtype}.`);
}
