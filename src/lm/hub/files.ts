/** Which files of a repository to download, and whether the Hub's list of them is plausible. */

import { HeedError } from '../../error.ts';
import type { RemoteFile } from './download.ts';
import { type Hub, notAHub, type Repo } from './request.ts';

export interface FileChoice {
  /**
   * Patterns of paths, of which a file must match one, instead of the files that heed needs. `*` matches anything,
   * slashes too; `?` one character.
   */
  include?: readonly string[];
  /** Patterns of paths, of which a file must match none. */
  exclude?: readonly string[];
}

/** The files of a model: config, tokenizer, templates and weights; no other formats and no subfolders. */
const MODEL_FILES =
  /^((generation_|adapter_)?config|tokenizer(_config)?|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^(merges\.txt|chat_template\.jinja|additional_chat_templates\/[^/]+\.jinja)$|^(?!consolidated)[^/]+\.safetensors(\.index\.json)?$/;
const DATASET_FILES = /\.(jsonl|ndjson|json|csv|parquet|txt)(\.gz)?$/;

/** The files to download, small ones first: problems of a model show before its weights arrive. */
export function select(repo: Repo, tree: readonly RemoteFile[], { include, exclude = [] }: FileChoice): RemoteFile[] {
  const included = include ? include.map(glob) : [repo.type === 'model' ? MODEL_FILES : DATASET_FILES];
  const unwanted = exclude.map(glob);
  const files = tree
    .filter(({ path }) => included.some((one) => one.test(path)) && !unwanted.some((one) => one.test(path)))
    .sort((a, b) => a.size - b.size);
  const has = `It has ${list(tree.map(({ path }) => path.replaceAll(/\p{Cc}/gu, '?')))}.`;
  if (files.length === 0) {
    throw new HeedError(`No file of the ${repo.type} "${repoName(repo)}" is selected.`, {
      hint: `${has} Choose with --include and --exclude.`,
    });
  }
  const isWeights = (path: string) => MODEL_FILES.test(path) && path.endsWith('.safetensors');
  if (repo.type === 'model' && !include && !tree.some(({ path }) => isWeights(path))) {
    throw new HeedError(`The model "${repoName(repo)}" has no weights as *.safetensors, which heed reads.`, {
      hint: `${has} Other files come with --include.`,
    });
  }
  return files;
}

/** A pattern as in `hf download` and Python's fnmatch. */
const glob = (pattern: string) =>
  new RegExp(
    `^${pattern.replaceAll(/[\\^$.*+?()[\]{}|]/g, (c) => (c === '*' ? '.*' : c === '?' ? '.' : `\\${c}`))}$`,
    's',
  );

const list = (paths: readonly string[]) =>
  paths.length === 0
    ? 'no files'
    : `${paths.slice(0, 12).join(', ')}${paths.length > 12 ? ` and ${paths.length - 12} more` : ''}`;

/** Checks a path and a checksum from outside: neither may lead out of the cache. */
export function checkFile(hub: Hub, { path, size, oid }: RemoteFile): void {
  const strange = path.split('/').some((part) => ['', '.', '..'].includes(part) || /^[a-z]:|[\\\p{Cc}]/iu.test(part));
  if (strange) throw notAHub(hub, `the path ${JSON.stringify(path)} leads out of its folder or is not a path`);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) {
    throw notAHub(hub, `expected a sha1 or sha256 of "${path}", got ${JSON.stringify(oid)}`);
  }
  if (!Number.isSafeInteger(size) || size < 0) {
    throw notAHub(hub, `expected the size of "${path}", got ${JSON.stringify(size)}`);
  }
}

export const repoName = ({ name, revision }: Repo) => (revision === 'main' ? name : `${name}@${revision}`);
