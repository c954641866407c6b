// Makes models/reviews-base again: the tiny model that comes with heed, pretrained by heed on text that heed writes.
// Takes about two minutes on two cores:
//   npm run build && node scripts/make-base-model.js
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'models', 'reviews-base');
const work = mkdtempSync(join(tmpdir(), 'heed-base-'));
try {
  const run = join(work, 'run');
  const args = ['bin/heed.js', 'pretrain', '--dtype', 'F16', '--out', run, '--json'];
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
  const { loss, measures } = JSON.parse(stdout);
  const last = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trimEnd().split('\n').at(-1);
  rmSync(target, { recursive: true, force: true });
  cpSync(join(run, 'model'), target, { recursive: true });
  writeFileSync(join(target, 'README.md'), card(loss.eval, measures, JSON.parse(last).tokens));
} finally {
  rmSync(work, { recursive: true, force: true });
}

function card(loss, measures, tokens) {
  const percent = (share) => `${Math.round(100 * share)} %`;
  return `# reviews-base

A language model of 846,000 parameters (Llama: 4 layers of 128, 320 words, float16) that writes reviews of places. It knows one small
grammar and nothing else: it is there so that every method of heed can be tried in a minute, and every result checked by a program.

It was pretrained from scratch by heed on ${(tokens / 1e6).toFixed(1)} million tokens of text that the grammar in \`src/data/reviews\` wrote, none
of it twice. There is no human text in it. \`node scripts/make-base-model.js\` makes it again.

| on 400 texts held out, and on 64 written by it          |                       |
| ------------------------------------------------------- | --------------------- |
| loss, nats a token (perplexity)                         | ${`${loss.toFixed(3)} (${Math.exp(loss).toFixed(2)})`.padEnd(21)} |
| entropy of the grammar, which no model gets below       | ${`${measures['loss/entropy'].toFixed(3)} (${Math.exp(measures['loss/entropy']).toFixed(2)})`.padEnd(21)} |
| sentences that are well formed                          | ${percent(measures['text/accepted']).padEnd(21)} |
| texts that are coherent: one place, its things, in order | ${percent(measures['text/coherent']).padEnd(20)} |

It continues texts (\`<bos>\` and words); it has not learned to answer. \`heed sft\` teaches it that, from demonstrations of mixed
quality. License: Apache-2.0, as heed.
`;
}
