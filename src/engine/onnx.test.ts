import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { encodeModel, type ModelGraph } from './onnx.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'heed-onnx-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs a model through a file, as ONNX Runtime's own API reads it. */
async function run(graph: ModelGraph, feeds: Record<string, ort.Tensor>) {
  const path = join(directory, 'model.onnx');
  writeFileSync(path, encodeModel(graph));
  const session = await ort.InferenceSession.create(path);
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

const node = (op: string, inputs: string[], outputs: string[], rest: Partial<ModelGraph['nodes'][0]> = {}) => ({
  op,
  domain: '',
  inputs,
  outputs,
  attributes: {},
  ...rest,
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Graphs with every field that a model of heed's has. */
const graphs: Record<string, ModelGraph> = {
  empty: { nodes: [], inputs: [], outputs: [], initializers: [] },
  attributes: {
    nodes: [
      node('FusedMatMul', ['x', 'w'], ['xw'], {
        domain: 'com.microsoft',
        attributes: { transB: 1, alpha: { float: 0.1 }, zero: 0, low: -(2 ** 53 - 1), text: '', letters: 'ij,jk→ü' },
      }),
      node('Clip', ['xw', '', 'top'], ['y', '']),
      node('Transpose', ['y'], ['z'], {
        attributes: { perm: [1, 0, -1, 2 ** 40], none: [], floats: { floats: [-0, 1e30] } },
      }),
    ],
    inputs: [{ name: 'x', dtype: 'float32', shape: ['rows', 2, 0] }],
    outputs: [{ name: 'z', dtype: 'bool', shape: [] }],
    initializers: [],
  },
  'own operators': {
    nodes: [node('Linear', ['x'], ['y'], { domain: 'heed', attributes: { size: 300 } })],
    inputs: [{ name: 'x', dtype: 'bfloat16', shape: [3] }],
    outputs: [{ name: 'y', dtype: 'float16', shape: [3] }],
    initializers: [],
    values: [{ name: 'between', dtype: 'uint32', shape: [3, 'n'] }],
  },
  initializers: {
    nodes: [],
    inputs: [],
    outputs: [],
    initializers: [
      { name: 'w', dtype: 'float32', shape: [2, 150], data: Float32Array.from({ length: 300 }, (_, i) => i / 7) },
      { name: 'one', dtype: 'int64', shape: [], data: new BigInt64Array([9n, -1n]).subarray(1) },
      { name: 'none', dtype: 'uint8', shape: [0], data: new Uint8Array() },
      { name: 'beside', dtype: 'int32', shape: [4], file: { location: 'model.data', offset: 4096 } },
      { name: 'passed', dtype: 'bool', shape: [4] },
    ],
  },
};

describe('encodeModel', () => {
  it('writes weights, symbolic dimensions and every kind of attribute', async () => {
    const graph: ModelGraph = {
      nodes: [
        node('FusedMatMul', ['x', 'w'], ['xw'], {
          domain: 'com.microsoft',
          attributes: { transB: 1, alpha: { float: 0.5 } },
        }),
        node('Clip', ['xw', '', 'top'], ['clipped']), // an optional input left out
        node('Transpose', ['clipped'], ['y'], { attributes: { perm: [1, 0] } }),
        node('Constant', [], ['offset'], { attributes: { value_floats: { floats: [0.25, -1.5] } } }),
        node('Gelu', ['offset'], ['activated'], { domain: 'com.microsoft' }),
        node('Einsum', ['x', 'x'], ['square'], { attributes: { equation: 'ij,ij->i' } }),
      ],
      inputs: [{ name: 'x', dtype: 'float32', shape: ['rows', 2] }],
      outputs: [
        { name: 'y', dtype: 'float32', shape: [3, 'rows'] },
        { name: 'activated', dtype: 'float32', shape: [2] },
        { name: 'square', dtype: 'float32', shape: ['rows'] },
      ],
      initializers: [
        { name: 'w', dtype: 'float32', shape: [3, 2], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
        { name: 'top', dtype: 'float32', shape: [], data: new Float32Array([8]) },
      ],
    };
    for (const rows of [1, 2]) {
      const x = new Float32Array([1, 2, 3, 4].slice(0, rows * 2));
      const { y, activated, square } = await run(graph, { x: new ort.Tensor('float32', x, [rows, 2]) });
      expect(y.dims).toEqual([3, rows]);
      expect([...(y.data as Float32Array)]).toEqual(rows === 1 ? [2.5, 5.5, 8] : [2.5, 5.5, 5.5, 8, 8, 8]);
      expect((activated.data as Float32Array)[0]).toBeCloseTo(0.25 * 0.598706, 5);
      expect([...(square.data as Float32Array)]).toEqual([5, 25].slice(0, rows));
    }
  });

  it('writes every element type, and only the viewed part of a buffer', async () => {
    const buffer = new BigInt64Array([99n, 2n ** 53n + 1n, -1n, 99n]);
    const constants = [
      { name: 'float32', dtype: 'float32', data: new Float32Array([0.5, -2]) },
      { name: 'int64', dtype: 'int64', data: buffer.subarray(1, 3) },
      { name: 'int32', dtype: 'int32', data: new Int32Array([-7, 7]) },
      { name: 'bool', dtype: 'bool', data: new Uint8Array([1, 0]) },
      { name: 'uint8', dtype: 'uint8', data: new Uint8Array([0, 255]) },
      { name: 'uint32', dtype: 'uint32', data: new Uint32Array([0, 2 ** 32 - 1]) },
      { name: 'float16', dtype: 'float16', data: new Uint16Array([0x3c00, 0xc000]) },
    ] as const;
    const results = await run(
      {
        nodes: constants.map(({ name }) => node('Identity', [name], [`${name}_out`])),
        inputs: [],
        outputs: constants.map(({ name, dtype }) => ({ name: `${name}_out`, dtype, shape: [2] })),
        initializers: constants.map((constant) => ({ ...constant, shape: [2] })),
      },
      {},
    );
    for (const { name, dtype, data } of constants) {
      const { type, data: got } = results[`${name}_out`];
      expect(type).toBe(dtype);
      const bytes = got as Uint8Array;
      expect(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toEqual(
        Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      );
    }
  });

  it('writes the same bytes as ever', () => {
    const hashes = Object.entries(graphs).map(([name, graph]) => [name, sha256(encodeModel(graph))]);
    expect(Object.fromEntries(hashes)).toEqual({
      attributes: '7a9f66a424aaca7dcbdaa7ac71824fdd6b0c86d6e3d294155d197d830febe679',
      empty: 'd6461866bfe018e948141af8dc26789636cf06e7bde5dc210bcd2fc9281662d4',
      initializers: '069aeb63c32c361aff385f4859cb1e09204f77349c1fdf1c8f0d17f9f3d727c2',
      'own operators': '2830d88cf5aa59ed8839fbe55e61a31ecc098f301b711b5d0876742ad7573bed',
    });
  });

  it('refuses what would be written wrongly', () => {
    const empty: ModelGraph = { nodes: [], inputs: [], outputs: [], initializers: [] };
    const wrong: [Partial<ModelGraph>, string][] = [
      [{ nodes: [node('Concat', [], ['y'], { attributes: { axis: 0.5 } })] }, "attribute 'axis' of Concat"],
      [{ inputs: [{ name: 'x', dtype: 'float32', shape: [-1] }] }, "dimension of 'x' is -1"],
      [{ inputs: [{ name: 'x', dtype: 'float32', shape: [Number.NaN] }] }, "dimension of 'x' must be an integer"],
      [
        { initializers: [{ name: 'w', dtype: 'int64', shape: [2, 2], data: new Int32Array(4) }] },
        "'w' of int64 [2,2] needs 32 bytes, got 16",
      ],
    ];
    for (const [graph, message] of wrong) {
      const encode = () => encodeModel({ ...empty, ...graph });
      expect(encode).toThrow(HeedError);
      expect(encode).toThrow(message);
    }
  });
});
