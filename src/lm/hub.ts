/**
 * Models and datasets of a Hub, in the cache of Python's huggingface_hub: `<cache>/models--owner--name/` with
 * `blobs/<checksum>`, `snapshots/<commit>/<path>` (links to blobs) and `refs/<revision>` (a commit). heed adds
 * `trees/<commit>.json`, the Hub's list of files, so that a complete snapshot needs no network.
 */

import { HeedError } from '../error.ts';
import { onDisk, readTextIfThere, writeFileAtomic } from '../files.ts';
import { nearest } from '../nearest.ts';
import {
  basename,
  copyFileSync,
  dirname,
  existsSync,
  join,
  linkSync,
  mkdirSync,
  readdirSync,
  relative,
  renameSync,
  resolve,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from '../node.ts';
import { embeddedModels } from './embedded.ts';
import { isGguf } from './gguf/file.ts';
import { bytesLeft, download, type RemoteFile } from './hub/download.ts';
import { type Hub, type HubOptions, hubFetch, notAHub, openHub, type Repo } from './hub/request.ts';

interface FileChoice {
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
function select(repo: Repo, tree: readonly RemoteFile[], { include, exclude = [] }: FileChoice): RemoteFile[] {
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

const wild: Readonly<Record<string, string>> = { '*': '.*', '?': '.' };

/** A pattern as in `hf download` and Python's fnmatch. */
const glob = (pattern: string) =>
  new RegExp(`^${pattern.replaceAll(/[\\^$.*+?()[\]{}|]/g, (c) => wild[c] ?? `\\${c}`)}$`, 's');

const list = (paths: readonly string[]) =>
  paths.length === 0
    ? 'no files'
    : `${paths.slice(0, 12).join(', ')}${paths.length > 12 ? ` and ${paths.length - 12} more` : ''}`;

/** Checks a path and a checksum from outside: neither may lead out of the cache. */
function checkFile(hub: Hub, { path, size, oid }: RemoteFile): void {
  const strange = path.split('/').some((part) => ['', '.', '..'].includes(part) || /^[a-z]:|[\\\p{Cc}]/iu.test(part));
  if (strange) throw notAHub(hub, `the path ${JSON.stringify(path)} leads out of its folder or is not a path`);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) {
    throw notAHub(hub, `expected a sha1 or sha256 of "${path}", got ${JSON.stringify(oid)}`);
  }
  if (!Number.isSafeInteger(size) || size < 0) {
    throw notAHub(hub, `expected the size of "${path}", got ${JSON.stringify(size)}`);
  }
}

const repoName = ({ name, revision }: Repo) => (revision === 'main' ? name : `${name}@${revision}`);

/** How `pull` gets files from the Hub: which ones, from where, and into which cache. */
export interface PullOptions extends HubOptions, FileChoice {
  /** Folder of the cache. Default: HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub. */
  cache?: string;
  /** Use the cache only, without the network. Default: HF_HUB_OFFLINE. */
  offline?: boolean;
  /** Called with the bytes present so far and the total. Not called if all files are there already. */
  onProgress?: (bytes: number, total: number) => void;
}

/** What `pull` leaves in the cache. */
export interface Pulled {
  /** The snapshot: a folder with the files under their names. */
  folder: string;
  /** The branch, tag or commit that was requested. */
  revision: string;
  /** SHA-1 of the commit that the revision stood for. */
  commit: string;
  /** Paths in the folder, with slashes. */
  files: string[];
  /** Total size of the files. */
  bytes: number;
}

/** The Hub's client, which only a name of the Hub needs. */
const client = () => import('@huggingface/hub');

const COMMIT = /^[0-9a-f]{40}$/;
const NAME = /^\w[\w.-]*\/\w[\w.-]*$/;
const REVISION = /^\w[\w.+/-]*$/;

/** Reads `OWNER/NAME` or `OWNER/NAME@REVISION` (a branch, tag or commit; default: main). */
export function hubName(text: string, type: Repo['type'] = 'model'): Repo {
  const repo = parseName(text, type);
  if (repo) return repo;
  throw new HeedError(`Expected the name of a ${type} on the Hub, OWNER/NAME or OWNER/NAME@REVISION, got "${text}".`, {
    hint: 'For example: HuggingFaceTB/SmolLM2-135M',
  });
}

function parseName(text: string, type: Repo['type']): Repo | undefined {
  const [, name, revision = 'main'] = /^([^@]*)(?:@(.*))?$/.exec(text) ?? [];
  if (name === undefined || !NAME.test(name) || /--|\.\./.test(name)) return undefined;
  // both become paths
  return REVISION.test(revision) && !/\.\.|\/\/|\/$/.test(revision) ? { type, name, revision } : undefined;
}

/**
 * Downloads the newest snapshot of a revision: asks the Hub for its commit, then gets and checks the missing files. If
 * it fails or is aborted, the next call continues from what has arrived. The revision points to the new commit only
 * once all files are there. Offline, it returns the snapshot in the cache.
 *
 * @throws HeedError, or the signal's reason.
 */
export async function pull(repo: Repo, options: PullOptions = {}): Promise<Pulled> {
  const hub = openHub(repo, options);
  const store = await storeOf(repo, options);
  if (isOffline(options)) {
    const found = await cached(repo, options);
    if (found) return found;
    throw new HeedError(`The ${repo.type} "${repoName(repo)}" is incomplete in "${store}", and heed is offline.`, {
      hint: 'Unset HF_HUB_OFFLINE to get it, or set HF_HOME or HF_HUB_CACHE to where it is.',
    });
  }
  try {
    const commit = await commitOf(hub);
    const files = select(repo, await treeOf(hub, store, commit), options);
    await getMissing(hub, store, commit, files, options);
    if (repo.revision !== commit) {
      const ref = join(store, 'refs', repo.revision);
      onDisk('write', ref, () => mkdirSync(dirname(ref), { recursive: true }));
      writeFileAtomic(ref, commit);
    }
    return pulled(repo, store, commit, files);
  } catch (error) {
    hub.signal?.throwIfAborted();
    throw error;
  }
}

/**
 * The folder of a model: an existing folder or GGUF file as it is; for `OWNER/NAME[@REVISION]`, its snapshot in the cache, which is
 * pulled if needed. A complete snapshot is not updated; `pull` gets a newer one.
 *
 * @throws HeedError if there is no such model.
 */
export async function resolveModel(nameOrFolder: string, options: PullOptions = {}): Promise<string> {
  const repo = placeOf(nameOrFolder);
  return repo ? onHub(nameOrFolder, repo, options) : nameOrFolder;
}

/** The name of a model on the Hub; undefined for a folder or a GGUF file. @throws HeedError if it can be neither. */
export function placeOf(nameOrFolder: string): Repo | undefined {
  const found = existsSync(nameOrFolder) ? statSync(nameOrFolder) : undefined; // stat throws below a file
  if (found?.isDirectory()) return undefined;
  if (!found) return parseName(nameOrFolder, 'model') ?? noPlace(nameOrFolder, 'model');
  if (isGguf(nameOrFolder)) return undefined;
  throw new HeedError(
    `"${nameOrFolder}" is a file: expected the folder of a model, a GGUF file, or a Hub name OWNER/NAME.`,
    {
      hint: `The folder with its config.json, such as "${dirname(resolve(nameOrFolder))}".`,
    },
  );
}

/** Like `resolveModel`, for a dataset: an existing file or folder as it is. */
export async function resolveDataset(nameOrPath: string, options: PullOptions = {}): Promise<string> {
  if (existsSync(nameOrPath)) return nameOrPath;
  return onHub(nameOrPath, parseName(nameOrPath, 'dataset') ?? noPlace(nameOrPath, 'dataset'), options);
}

const placeNames = { model: 'folder', dataset: 'file or folder' } as const;

function noPlace(text: string, type: Repo['type']): never {
  throw new HeedError(`There is no ${placeNames[type]} "${text}", and it is not a Hub name OWNER/NAME[@REVISION].`, {
    hint: meantPlace(text, type) ?? `Check the path. Relative paths start from the current folder: ${resolve('.')}`,
  });
}

/** Which model or which file beside it a misspelt name may mean, in words. */
function meantPlace(text: string, type: Repo['type']): string | undefined {
  const folder = dirname(text);
  const beside = existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : [];
  const brought = type === 'model' && folder === '.' ? embeddedModels : [];
  const [meant] = nearest(basename(text), [...brought, ...beside]);
  return meant && `did you mean "${join(folder, meant)}"?`;
}

async function onHub(text: string, repo: Repo, options: PullOptions): Promise<string> {
  try {
    return ((await cached(repo, options)) ?? (await pull(repo, options))).folder;
  } catch (error) {
    if (!(error instanceof HeedError)) throw error;
    // a path with one slash reads like OWNER/NAME: a misspelled folder ends here too
    const message = `There is no ${placeNames[repo.type]} "${text}", and it cannot be fetched from the Hub: ${error.message}`;
    throw new HeedError(message, { hint: error.hint, cause: error });
  }
}

/** The cached snapshot, if it is complete as far as heed can tell. */
async function cached(repo: Repo, options: PullOptions): Promise<Pulled | undefined> {
  const store = await storeOf(repo, options);
  const commit = COMMIT.test(repo.revision)
    ? repo.revision
    : readTextIfThere(join(store, 'refs', repo.revision))?.trim();
  if (!commit || !COMMIT.test(commit)) return undefined;
  const folder = join(store, 'snapshots', commit);
  // another tool's snapshot has no list: offline, nothing says what it lacks
  const tree = readTree(store, commit) ?? (isOffline(options) ? filesIn(folder) : undefined);
  if (!tree) return undefined;
  const files = select(repo, tree, options);
  return files.every((file) => isThere(join(folder, file.path), file.size))
    ? pulled(repo, store, commit, files)
    : undefined;
}

async function storeOf(repo: Repo, { cache }: PullOptions): Promise<string> {
  const { getHFHubCachePath, getRepoFolderName } = await client();
  return resolve(cache ?? getHFHubCachePath(), getRepoFolderName(repo));
}

const isOffline = ({ offline }: PullOptions) => offline ?? /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '');

function pulled({ revision }: Repo, store: string, commit: string, files: readonly RemoteFile[]): Pulled {
  return {
    folder: join(store, 'snapshots', commit),
    revision,
    commit,
    files: files.map(({ path }) => path),
    bytes: sum(files.map(({ size }) => size)),
  };
}

async function commitOf(hub: Hub): Promise<string> {
  const { type, name, revision } = hub.repo;
  const request = { name, revision, hubUrl: hub.endpoint, fetch: hubFetch(hub) };
  const { datasetInfo, modelInfo } = await client();
  const info = await withHubErrors(hub, () =>
    type === 'model'
      ? modelInfo({ ...request, additionalFields: ['sha'] })
      : datasetInfo({ ...request, additionalFields: ['sha'] }),
  );
  if (COMMIT.test(info.sha)) return info.sha;
  throw notAHub(hub, `expected a commit of 40 hex digits, got ${JSON.stringify(info.sha)}`);
}

/** All files of a commit. They never change, so the list is fetched once. */
async function treeOf(hub: Hub, store: string, commit: string): Promise<RemoteFile[]> {
  const saved = readTree(store, commit);
  if (saved) return saved;
  const tree = await withHubErrors(hub, async () => {
    const files: RemoteFile[] = [];
    const { name, type } = hub.repo;
    const request = { repo: { name, type }, revision: commit, hubUrl: hub.endpoint, fetch: hubFetch(hub) };
    const { listFiles } = await client();
    for await (const entry of listFiles({ ...request, recursive: true })) {
      if (entry.type === 'file') {
        files.push({ path: entry.path, size: entry.lfs?.size ?? entry.size, oid: entry.lfs?.oid ?? entry.oid ?? '' });
      }
    }
    return files;
  });
  const path = treePath(store, commit);
  onDisk('write', path, () => mkdirSync(dirname(path), { recursive: true }));
  writeFileAtomic(path, JSON.stringify(tree));
  return tree;
}

/** Turns the library's errors about unexpected answers into HeedErrors. */
async function withHubErrors<T>(hub: Hub, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    hub.signal?.throwIfAborted();
    throw cause instanceof HeedError ? cause : notAHub(hub, 'its answer could not be read', cause);
  }
}

const treePath = (store: string, commit: string) => join(store, 'trees', `${commit}.json`);

function readTree(store: string, commit: string): RemoteFile[] | undefined {
  const text = readTextIfThere(treePath(store, commit));
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // damaged: fetch it again
  }
}

function filesIn(folder: string): RemoteFile[] | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return found?.isFile() ? [{ path: name.replaceAll('\\', '/'), size: found.size, oid: '' }] : [];
  });
}

async function getMissing(
  hub: Hub,
  store: string,
  commit: string,
  files: readonly RemoteFile[],
  { onProgress }: PullOptions,
): Promise<void> {
  for (const file of files) checkFile(hub, file);
  const blobs = join(store, 'blobs');
  const folder = join(store, 'snapshots', commit);
  const missing = files.filter(({ path, size }) => !isThere(join(folder, path), size));
  const absent = missing.filter(({ oid, size }) => !isThere(join(blobs, oid), size));
  onDisk('write', blobs, () => mkdirSync(blobs, { recursive: true }));
  const total = sum(files.map(({ size }) => size));
  const left = sum(absent.map(({ oid, size }) => Math.min(size, bytesLeft(blobs, oid))));
  let before = total - sum(absent.map(({ size }) => size));
  checkSpace(store, total - before - left);
  if (absent.length > 0) onProgress?.(before + left, total);
  for (const file of missing) {
    const blob = join(blobs, file.oid);
    if (!isThere(blob, file.size)) {
      await download(hub, addressOf(hub, commit, file.path), file, blobs, (bytes) =>
        onProgress?.(before + bytes, total),
      );
      before += file.size;
    }
    const path = join(folder, file.path);
    onDisk('write', path, () => link(blob, path));
  }
}

function checkSpace(folder: string, needed: number): void {
  const { bavail, bsize } = onDisk('read', folder, () => statfsSync(folder));
  const free = bavail * bsize;
  if (needed <= free) return;
  throw new HeedError(
    `The download needs ${gigabytes(needed)}, but the disk of "${folder}" has ${gigabytes(free)} free.`,
    {
      hint: 'Free space there, or set HF_HOME to a folder on another disk.',
    },
  );
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;

function addressOf({ endpoint, repo }: Hub, commit: string, path: string): string {
  const root = `${endpoint}/${repo.type === 'dataset' ? 'datasets/' : ''}${repo.name}`;
  return `${root}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

const isThere = (path: string, size: number) => {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === size;
};

/** Links a file. On Windows few users may create symbolic links, and some disks support no links at all. */
function link(blob: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  try {
    symlinkSync(relative(dirname(path), blob), temporary);
  } catch {
    try {
      linkSync(blob, temporary);
    } catch {
      copyFileSync(blob, temporary);
    }
  }
  renameSync(temporary, path);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
