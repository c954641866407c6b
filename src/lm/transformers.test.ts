/** Folders between heed and Transformers, both ways. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pythonWith } from '../../test/support/python.ts';
import { createParameters, type DecoderConfig, decoderParameters, initialize, saveParameters } from '../nn/index.ts';
import { random } from '../random.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';

const python = pythonWith('transformers', 'torch');
const script = fileURLToPath(new URL('../../test/support/transformers_check.py', import.meta.url));

const llama: DecoderConfig = {
  vocabularySize: 96,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headSize: 8,
  feedForwardSize: 48,
  activation: 'silu',
  gated: true,
  norm: 'rms',
  normEpsilon: 1e-5,
  positions: { kind: 'rotary', theta: 5e5 },
  maxPositions: 128,
  bias: { queryKeyValue: false, attentionOutput: false, feedForward: false },
  queryKeyNorm: false,
  tied: false,
  initialDeviation: 0.05,
};
const all = { queryKeyValue: true, attentionOutput: true, feedForward: true };
const scaling = {
  kind: 'llama3' as const,
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 32,
};
const gpt2: DecoderConfig = {
  ...llama,
  keyValueHeads: 4,
  activation: 'geluTanh',
  gated: false,
  norm: 'layer',
  positions: { kind: 'learned' },
  bias: all,
  tied: true,
};
const models: Record<string, DecoderConfig> = {
  llama,
  'llama-scaled': { ...llama, bias: all, headSize: 16, tied: true, positions: { kind: 'rotary', theta: 5e5, scaling } },
  'llama-linear': { ...llama, positions: { kind: 'rotary', theta: 1e4, scaling: { kind: 'linear', factor: 4 } } },
  mistral: { ...llama, slidingWindow: 16 },
  qwen2: { ...llama, bias: { ...llama.bias, queryKeyValue: true } },
  qwen3: { ...llama, headSize: 16, queryKeyNorm: true },
  gpt2,
  'gpt2-untied': { ...gpt2, feedForwardSize: 100, activation: 'gelu', tied: false },
};
const variants = (['F32', 'BF16'] as const).flatMap((dtype) => [
  { dtype, maxShardBytes: 5e9 },
  { dtype, maxShardBytes: 10_000 },
]);

describe.skipIf(!python)('with Transformers (needs Transformers)', () => {
  let root: string;
  const folders: Record<string, DecoderConfig> = {};
  let completions: { folder: string; dtype: string; wrong: string[] }[];
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'heed-transformers-'));
    const save = (name: string, config: DecoderConfig, options: (typeof variants)[0], labels = 0) => {
      const folder = join(root, `${name}-${options.dtype}-${options.maxShardBytes === 5e9 ? 'whole' : 'sharded'}`);
      const score = { name: 'score.weight', shape: [labels, config.hiddenSize], initialize: initialize.normal(0.1) };
      const specs = [...decoderParameters(config), ...(labels ? [score] : [])];
      const parameters = createParameters(
        specs.map((spec) => ({ ...spec, initialize: initialize.normal(0.1) })),
        random(3),
      );
      saveCheckpoint(folder, { config, parameters, raw: { pad_token_id: 0 } }, options);
      saveParameters(join(folder, 'expected.safetensors'), parameters);
      folders[folder] = config;
    };
    for (const options of variants) for (const [name, config] of Object.entries(models)) save(name, config, options);
    save('llama-classifier', { ...llama, tied: true }, variants[0], 1);
    save('gpt2-classifier', gpt2, variants[3], 3);
    const { status, stdout, stderr } = spawnSync(python!, [script, ...Object.keys(folders)], {
      encoding: 'utf8',
      env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' },
    });
    if (status !== 0) throw new Error(stderr);
    completions = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('every family loads there, bit-equal', () => {
    expect(completions).toEqual(
      Object.keys(folders).map((folder) => ({
        folder,
        dtype: folder.includes('-BF16-') ? 'torch.bfloat16' : 'torch.float32',
        wrong: [],
      })),
    );
  });

  it('what it saves is loaded here, bit-equal', () => {
    for (const [folder, config] of Object.entries(folders)) {
      const [ours, theirs] = [loadCheckpoint(folder), loadCheckpoint(join(folder, 'again'))];
      expect([basename(folder), theirs.config]).toEqual([basename(folder), config]);
      expect(theirs.architecture).toBe(ours.architecture);
      const [a, b] = [ours, theirs].map(({ parameters: { flat } }) => Buffer.from(flat.buffer));
      expect(a.equals(b)).toBe(true);
      const written = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
      expect(written.architectures).toEqual(theirs.raw.architectures);
    }
  });
});
