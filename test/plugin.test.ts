/** A plugin registers things by name from outside, and they work in commands and recipes. Run from the compiled package. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { heed, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const room = (name: string) => {
  const file = name === 'align/parts' ? 'align/parts.js' : `${name}/index.js`;
  return JSON.stringify(pathToFileURL(join(inject('compiled'), 'dist', file)).href);
};

beforeAll(() => {
  writeFileSync(
    join(folder.path, 'mine.mjs'),
    `
import { appendFileSync } from 'node:fs';
import { advantageEstimators, pairLosses, policyLosses, rewards } from ${room('align/parts')};
import { logSigmoid, mul, neg } from ${room('engine')};
import { environments, random, withTimeLimit } from ${room('env')};
import { samplers } from ${room('lm')};
import { queryRules } from ${room('preference')};
import { loggers } from ${room('run')};

samplers.register('shouting', (logits, { tokens }) => {
  for (let id = 0; id < logits.length; id++) if (id !== 7) logits[id] = -Infinity; // one token, whatever the model says
});
loggers.register('lines', {
  create: (to) => ({
    metrics: ({ step }) => appendFileSync(to, \`step \${step}\\n\`),
    sample() {},
    close: async (ending) => appendFileSync(to, \`\${ending}\\n\`),
  }),
});
environments.register('Line', () => {
  let x = 0;
  return withTimeLimit({
    ...{ id: 'Line', maxEpisodeSteps: 20, framesPerSecond: 10 },
    observationSpace: { kind: 'box', low: Float32Array.of(-2), high: Float32Array.of(2) },
    actionSpace: { kind: 'discrete', n: 2 },
    start(seed) { x = random(seed).uniform(); },
    advance(action, outcome) { x = Math.max(-2, Math.min(2, x + action[0] - 0.5)); outcome.reward = -Math.abs(x); },
    observe(observation) { observation[0] = x; },
    frame: () => ({ width: 4, height: 1, shapes: [] }),
  });
});
queryRules.register('last', { choose: ({ free, count }) => free.slice(-count) });
pairLosses.register('plain', ({ margin, beta }) => neg(logSigmoid(mul(margin, beta))));
policyLosses.register('unclipped', ({ ratio, advantage, weightedSums }) => weightedSums(mul(ratio, advantage)));
advantageEstimators.register('signs', (rewards, { size }) => rewards.map((reward, i) => Math.sign(reward - rewards[i - (i % size)])));
rewards.register('short', (completions) => completions.map(({ text }) => -text.length));
`,
  );
});

describe('--plugin', () => {
  it('makes a sampler known to heed generate', async () => {
    writeFileSync(join(folder.path, 'prompts.jsonl'), '{"prompt":"the"}\n');
    const flags = ['--model', 'reviews-base', '--data', 'prompts.jsonl', '--max-tokens', '3', '--sampler', 'shouting'];
    const { code, stdout, stderr } = await heed(['generate', ...flags, '--plugin', 'mine.mjs', '--json'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout).completions[0].ids).toEqual([7, 7, 7]);
    const without = await heed(['generate', ...flags], folder.path);
    expect(without.stderr).toContain('unknown sampler "shouting"');
  });

  it('makes a logger known to a training, which names its plugins for those who go on with it', async () => {
    const flags = ['--env', 'CartPole-v1', '--steps', '512', '--out', 'run', '--log', 'lines:log.txt'];
    const { code, stderr } = await heed(['rl', ...flags, '--plugin', 'mine.mjs'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder.path, 'log.txt'), 'utf8')).toMatch(/^step 0\n(step \d+\n)+finished\n$/);
    const { plugins } = JSON.parse(readFileSync(join(folder.path, 'run', 'config.json'), 'utf8'));
    expect(plugins).toEqual([join(folder.path, 'mine.mjs')]);
  });

  it('makes an environment known to a training, which asks by a rule of the plugin', async () => {
    const flags = [
      '--env',
      'Line',
      '--steps',
      '3000',
      '--labels',
      '16',
      '--query.rule',
      'last',
      '--segment.window',
      '5',
    ];
    const { code, stdout, stderr } = await heed(
      ['train', ...flags, '--evaluations', '0', '--plugin', 'mine.mjs', '--out', 'line', '--json'],
      folder.path,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({ labels: 16 });
    const without = await heed(['rl', '--env', 'Line', '--steps', '512'], folder.path);
    expect(without.stderr).toContain('unknown environment');
    const none = await heed(['train', '--query.rule', 'last'], folder.path);
    expect(none.stderr).toContain('--query.rule: expected one of disagreement, entropy');
  });

  it('makes losses, estimators and rewards known to a recipe', async () => {
    const small = { model: 'reviews-base', batch: 2, steps: 2, evaluations: 1 };
    const recipe = {
      plugins: ['./mine.mjs'],
      stages: [
        {
          command: 'dpo',
          settings: { ...small, comparisons: 8, loss: 'plain', part: 2, evaluation: { prompts: 2, maxTokens: 4 } },
        },
        {
          command: 'grpo',
          settings: {
            ...{ ...small, model: '@dpo', loss: 'unclipped', advantages: 'signs', maxTokens: 8 },
            ...{ reward: '0.5*short + reviews', evaluation: { count: 2 } },
          },
        },
      ],
    };
    writeFileSync(join(folder.path, 'recipe.json'), JSON.stringify(recipe));
    const { code, stderr } = await heed(['pipeline', 'recipe.json', '--out', 'stages', '--json'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(existsSync(join(folder.path, 'stages', 'grpo', 'model', 'config.json'))).toBe(true);
  });

  it('that cannot be imported ends the command with its name, and nothing is written', async () => {
    const { code, stderr } = await heed(['rl', '--out', 'none', '--plugin', 'nowhere.mjs'], folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('The plugin');
    expect(stderr).toContain('nowhere.mjs');
    expect(existsSync(join(folder.path, 'none'))).toBe(false);
  });
});
