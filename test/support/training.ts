/** What tests of trainings share: small datasets, models of fixtures, steps, and checkpoints that stay as they were. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '../../src/engine/safetensors.ts';

/** The folder of a model among the fixtures. */
export const fixtureModel = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));

const smaller = new Map<string, string>();
/**
 * The folder of a model of one layer: the first of a fixture's four, with its embedding, head and tokenizer. What is trained
 * and compiled again and again takes a third of the time with it, and no wiring is lost.
 */
export function smallModel(name: 'tiny-llama' | 'tiny-llama-rm' = 'tiny-llama'): string {
  const made = smaller.get(name);
  if (made) return made;
  const folder = join(mkdtempSync(join(tmpdir(), 'heed-model-')), name);
  process.once('exit', () => rmSync(join(folder, '..'), { recursive: true, force: true }));
  cpSync(fixtureModel(name), folder, { recursive: true });
  const [config, weights] = ['config.json', 'model.safetensors'].map((file) => join(folder, file));
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), num_hidden_layers: 1 }));
  const { tensors, metadata } = readSafetensors(weights);
  const kept = Object.entries(tensors).filter(([tensor]) => !/\.layers\.[1-9]/.test(tensor));
  writeSafetensors(weights, Object.fromEntries(kept), metadata);
  smaller.set(name, folder);
  return folder;
}

/** A folder for a file's tests, gone afterwards, and what writes rows into a file there, whose path it gives. */
export function ownData(): { folder: string; dataOf: (rows: readonly object[]) => string } {
  const folder = mkdtempSync(join(tmpdir(), 'heed-data-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let files = 0;
  return {
    folder,
    dataOf(rows) {
      const path = join(folder, `${files++}.jsonl`);
      writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return path;
    },
  };
}

export async function take<Step>(learner: { next(): Promise<Step> }, steps: number): Promise<Step[]> {
  const taken: Step[] = [];
  while (taken.length < steps) taken.push(await learner.next());
  return taken;
}

/** What of steps no clock touches. */
export const plain = <Step extends { tokensPerSecond: number; idle?: number }>(steps: readonly Step[]) =>
  steps.map(({ tokensPerSecond, idle, ...step }) => step);

/** A learner's checkpoint as a file would keep it. */
export function checkpointOf<State, Tensors extends Record<string, SafetensorsTensor>>(learner: {
  save(): { state: State; tensors: Tensors };
}): { state: State; tensors: Tensors } {
  const { state, tensors } = learner.save();
  const copies = Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]);
  return { state: structuredClone(state), tensors: Object.fromEntries(copies) };
}
