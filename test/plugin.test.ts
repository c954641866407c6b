/** A plugin registers things by name from outside, and they work in commands and recipes. Run from the compiled package. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { heed, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const room = (name: string) => JSON.stringify(pathToFileURL(join(inject('compiled'), 'dist', name, 'index.js')).href);

beforeAll(() => {
  writeFileSync(
    join(folder.path, 'mine.mjs'),
    `
import { appendFileSync } from 'node:fs';
import { samplers } from ${room('lm')};
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
`,
  );
});

describe('--plugin', () => {
  it('makes a sampler known to heed generate', async () => {
    writeFileSync(join(folder.path, 'prompts.jsonl'), '{"prompt":"the"}\n');
    const flags = ['--model', 'reviews-base', '--data', 'prompts.jsonl', '--maxTokens', '3', '--sampler', 'shouting'];
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

  it('that cannot be imported ends the command with its name, and nothing is written', async () => {
    const { code, stderr } = await heed(['rl', '--out', 'none', '--plugin', 'nowhere.mjs'], folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('The plugin');
    expect(stderr).toContain('nowhere.mjs');
    expect(existsSync(join(folder.path, 'none'))).toBe(false);
  });
});
