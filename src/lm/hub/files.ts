/** Which files of a repository are wanted, and whether what the Hub says of them can be believed. */

import { HeedError } from '../../error.ts';
import type { RemoteFile } from './download.ts';
import { type Hub, notAHub, type Repo } from './request.ts';

export interface Choice {
  /** Patterns of paths, any of which a file must match, instead of what heed needs. `*` is anything, slashes too; `?` one character. */
  include?: readonly string[];
  /** Patterns of paths, none of which a file may match. */
  exclude?: readonly string[];
}

/** What a model needs: its config, tokenizer, templates and weights, none of other formats or in folders below. */
const MODEL_FILES =
  /^((generation_|adapter_)?config|tokenizer(_config)?|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^(merges\.txt|chat_template\.jinja|additional_chat_templates\/[^/]+\.jinja)$|^(?!consolidated)[^/]+\.safetensors(\.index\.json)?$/;
const DATASET_FILES = /\.(jsonl|ndjson|json|csv|parquet|txt)(\.gz)?$/;

/** The files wanted, the small before the large: what is wrong with a model shows before its weights have come. */
export function select(repo: Repo, tree: readonly RemoteFile[], { include, exclude = [] }: Choice): RemoteFile[] {
  const included = include ? include.map(glob) : [repo.type === 'model' ? MODEL_FILES : DATASET_FILES];
  const unwanted = exclude.map(glob);
  const files = tree
    .filter(({ path }) => included.some((one) => one.test(path)) && !unwanted.some((one) => one.test(path)))
    .sort((a, b) => a.size - b.size);
  const has = `It has ${list(tree.map(({ path }) => path.replaceAll(/\p{Cc}/gu, '?')))}.`;
  if (files.length === 0) {
    throw new HeedError(`No file of the ${repo.type} "${nameOf(repo)}" is wanted.`, {
      hint: `${has} Choose with --include and --exclude.`,
    });
  }
  const isWeights = (path: string) => MODEL_FILES.test(path) && path.endsWith('.safetensors');
  if (repo.type === 'model' && !include && !tree.some(({ path }) => isWeights(path))) {
    throw new HeedError(`The model "${nameOf(repo)}" has no weights as *.safetensors, which heed reads.`, {
      hint: `${has} Other files come with --include.`,
    });
  }
  return files;
}

/** As `hf download` and Python's fnmatch have it. */
const glob = (pattern: string) =>
  new RegExp(
    `^${pattern.replaceAll(/[\\^$.*+?()[\]{}|]/g, (c) => (c === '*' ? '.*' : c === '?' ? '.' : `\\${c}`))}$`,
    's',
  );

const list = (paths: readonly string[]) =>
  paths.length === 0
    ? 'no files'
    : `${paths.slice(0, 12).join(', ')}${paths.length > 12 ? ` and ${paths.length - 12} more` : ''}`;

/** A path or a checksum from outside that would lead out of the cache must not name a file. */
export function checkFile(hub: Hub, { path, size, oid }: RemoteFile): void {
  const strange = path.split('/').some((part) => ['', '.', '..'].includes(part) || /^[a-z]:|[\\\p{Cc}]/iu.test(part));
  if (strange) throw notAHub(hub, `the path ${JSON.stringify(path)} leads out of its folder or is none`);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) {
    throw notAHub(hub, `expected a sha1 or sha256 of "${path}", got ${JSON.stringify(oid)}`);
  }
  if (!Number.isSafeInteger(size) || size < 0) {
    throw notAHub(hub, `expected the size of "${path}", got ${JSON.stringify(size)}`);
  }
}

export const nameOf = ({ name, revision }: Repo) => (revision === 'main' ? name : `${name}@${revision}`);
