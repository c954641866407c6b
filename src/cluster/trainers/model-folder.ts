/** Checks a model's folder that came from elsewhere, without loading it. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../../engine/safetensors.ts';
import { HeedError, messageOf } from '../../error.ts';
import { sha256OfFile } from '../../files.ts';

/** Sizes in bytes and checksums of files by their names in a folder. */
export type Manifest = Readonly<Record<string, { size: number; sha256: string }>>;

const INDEX = 'model.safetensors.index.json';
const HINT = 'The files on this machine are unchanged. Copy the model again with "heed cluster fetch".';

/**
 * Checks that a folder is a whole model of Hugging Face's format, or a whole adapter of PEFT's: every file of the
 * manifest in its size, headers of safetensors that fit their files, and every tensor of the index.
 *
 * @throws HeedError that names the file that is missing, cut short or not what it should be.
 */
export function checkModelFolder(folder: string, manifest: Manifest = {}): void {
  const fail = (name: string, what: string) =>
    new HeedError(`The model that was copied here is incomplete: "${join(folder, name)}" ${what}.`, { hint: HINT });
  for (const [name, { size, sha256 }] of Object.entries(manifest)) {
    const path = join(folder, name);
    if (!existsSync(path)) throw fail(name, 'is missing');
    const got = statSync(path).size;
    if (got !== size) throw fail(name, `has ${got} bytes: expected ${size}`);
    if (sha256OfFile(path) !== sha256) throw fail(name, 'differs from what the trainer saved');
  }
  const json = (name: string): Record<string, unknown> => {
    if (!existsSync(join(folder, name))) throw fail(name, 'is missing');
    try {
      return JSON.parse(readFileSync(join(folder, name), 'utf8'));
    } catch (error) {
      throw fail(name, `is not JSON: ${messageOf(error)}`);
    }
  };
  const tensorsOf = (name: string) => {
    if (!existsSync(join(folder, name))) throw fail(name, 'is missing');
    return openSafetensors(join(folder, name)).tensors;
  };
  if (existsSync(join(folder, 'adapter_config.json'))) {
    json('adapter_config.json');
    if (tensorsOf('adapter_model.safetensors').size === 0) throw fail('adapter_model.safetensors', 'has no tensors');
    return;
  }
  json('config.json');
  if (!existsSync(join(folder, INDEX))) {
    if (tensorsOf('model.safetensors').size === 0) throw fail('model.safetensors', 'has no tensors');
    return;
  }
  const map = json(INDEX).weight_map as Readonly<Record<string, string>> | undefined;
  if (!map || Object.keys(map).length === 0) throw fail(INDEX, 'has no weight_map');
  const files = new Map([...new Set(Object.values(map))].map((name) => [name, tensorsOf(name)]));
  for (const [tensor, name] of Object.entries(map))
    if (!files.get(name)!.has(tensor)) throw fail(name, `lacks the tensor ${tensor}, which ${INDEX} names`);
}
