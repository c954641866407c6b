/** Reward models in Transformers: what their folder says of padding, and that batches score there as here. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { pythonWith } from '../../../test/support/python.ts';
import { ownData, smallModel } from '../../../test/support/training.ts';
import { loadModel } from '../../lm/model.ts';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { createRewardModel, createRewardScorer, saveRewardModel, scoredCompletion } from './model.ts';

const { folder } = ownData();
const python = pythonWith('transformers', 'torch');
const script = fileURLToPath(new URL('../../../test/support/reward_check.py', import.meta.url));

/** Saves a reward model whose tokenizer pads with such a token. */
async function saved(name: string, change: (pad: number | undefined, eos: number) => number | undefined) {
  const path = join(folder, name);
  const model = await loadModel(smallModel());
  const { tokenizer } = model;
  const pad = change(tokenizer.pad, tokenizer.eos!);
  const config = JSON.parse(tokenizer.files['tokenizer_config.json']!);
  config.pad_token = pad === undefined ? undefined : tokenizer.tokenOf(pad);
  const files = { ...tokenizer.files, 'tokenizer_config.json': JSON.stringify(config) };
  const reward = createRewardModel({ ...model, tokenizer: { ...tokenizer, pad, files } }, 0);
  saveRewardModel(path, reward);
  const completions = ['one', 'another one', 'a longer answer than these'].map((text) =>
    scoredCompletion({ ids: tokenizer.encode(text) }, reward),
  );
  using scorer = createRewardScorer(reward);
  const scores = Array.from(await scorer.run(completions));
  reward.parameters[Symbol.dispose]();
  return { path, scores, ids: completions.map(({ ids }) => Array.from(ids)) };
}

describe.each([
  ['no padding token', () => undefined],
  ['the EOS token for padding', (_: number | undefined, eos: number) => eos],
  ['a padding token', (pad: number | undefined) => pad],
] as const)('of a tokenizer with %s', (name, change) => {
  it('has one in its config and its tokenizer that ends no text', async () => {
    const { path } = await saved(name, change);
    const { pad_token_id: id } = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
    const { pad, eos } = loadTokenizer(path);
    expect(pad).toBe(id);
    expect(id).not.toBe(eos);
  });

  it.skipIf(!python)('scores batches in Transformers as here (needs Transformers)', async () => {
    const { path, scores, ids } = await saved(`${name} there`, change);
    const { status, stdout, stderr } = spawnSync(python!, [script, path, JSON.stringify(ids)], {
      encoding: 'utf8',
      env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' },
    });
    expect(status, stderr).toBe(0);
    for (const [i, score] of (JSON.parse(stdout) as number[]).entries()) expect(score).toBeCloseTo(scores[i], 5);
  });
});
