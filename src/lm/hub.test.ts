import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cutAfter, type FakeHub, gitSha1, refuse, sendBytes, sha256, startHub } from '../../test/support/hub.ts';
import { HeedError } from '../error.ts';
import { hubName, type PullOptions, pull, resolveDataset, resolveModel } from './hub.ts';

const TOKEN = 'hf_secret0123';
const COMMIT = 'a'.repeat(40);
const NEWER = 'b'.repeat(40);
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) % 256));
const other = Buffer.from(weights).reverse();
const files = {
  'config.json': '{"model_type":"llama"}',
  'tokenizer.json': '{}',
  'chat_template.jinja': '{{ messages }}',
  'additional_chat_templates/tool.jinja': 'tool',
  'model.safetensors.index.json': '{"weight_map":{}}',
  'model-00001-of-00002.safetensors': weights,
  'model-00002-of-00002.safetensors': other,
  'README.md': '# A model',
  'pytorch_model.bin': Buffer.alloc(500),
  'consolidated.safetensors': Buffer.alloc(600),
  'onnx/model.safetensors': Buffer.alloc(700),
};
const needed = [
  'additional_chat_templates/tool.jinja',
  'chat_template.jinja',
  'config.json',
  'model-00001-of-00002.safetensors',
  'model-00002-of-00002.safetensors',
  'model.safetensors.index.json',
  'tokenizer.json',
];
const SHARD = `/${sha256(weights)}`;

let hub: FakeHub;
let cache: string;
let options: PullOptions;
beforeEach(async () => {
  for (const name of ['HF_ENDPOINT', 'HF_TOKEN', 'HF_HUB_OFFLINE']) vi.stubEnv(name, '');
  hub = await startHub();
  hub.repos['models/someone/tiny'] = { commit: COMMIT, files };
  cache = mkdtempSync(join(tmpdir(), 'heed-hub-'));
  options = { endpoint: hub.endpoint, cache, token: TOKEN, retryDelay: 1 };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(cache, { recursive: true, force: true });
});

const store = () => join(cache, 'models--someone--tiny');
const blobs = () => readdirSync(join(store(), 'blobs'));
const partials = () => blobs().filter((name) => name.endsWith('.incomplete'));
const tiny = (more: PullOptions = {}, name = 'someone/tiny') => pull(hubName(name), { ...options, ...more });
const failure = async (attempt: Promise<unknown>): Promise<HeedError> => {
  const error = await attempt.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(HeedError);
  expect(`${error.message} ${error.hint}`).not.toContain(TOKEN);
  return error;
};
/** The storage's answers to requests for the first shard, one after another; then as usual. */
function onShard(...answers: ((...args: Parameters<NonNullable<FakeHub['fault']>>) => void)[]): void {
  hub.fault = (request, response, host) => {
    const answer = request.url!.startsWith(SHARD) ? answers.shift() : undefined;
    answer?.(request, response, host);
    return answer !== undefined;
  };
}

describe('pull', () => {
  it('gets what a model needs into the layout of huggingface_hub', async () => {
    const { files: got, ...result } = await tiny();
    const bytes = needed.reduce((sum, path) => sum + Buffer.byteLength(files[path as keyof typeof files]), 0);
    const folder = join(store(), 'snapshots', COMMIT);
    expect(result).toEqual({ folder, revision: 'main', commit: COMMIT, bytes });
    expect(got.toSorted()).toEqual(needed);
    for (const path of needed) {
      const content = Buffer.from(files[path as keyof typeof files]);
      expect(readFileSync(join(folder, path)).equals(content)).toBe(true);
      expect(lstatSync(join(folder, path)).isSymbolicLink()).toBe(process.platform !== 'win32');
    }
    expect(readdirSync(folder, { recursive: true }).length).toBe(needed.length + 1);
    expect(blobs().toSorted()).toEqual(
      needed
        .map((path) => files[path as keyof typeof files])
        .map((content) => (content.length > 100 ? sha256(content) : gitSha1(content)))
        .toSorted(),
    );
    expect(readFileSync(join(store(), 'refs', 'main'), 'utf8')).toBe(COMMIT);
    if (process.platform !== 'win32') {
      expect(readlinkSync(join(folder, 'config.json'))).toBe(`../../blobs/${gitSha1(files['config.json'])}`);
    }
  });

  it('shows the token to the Hub and to nobody else', async () => {
    await tiny();
    const { seen } = hub;
    expect(seen.filter(({ host }) => host === 'storage')).toHaveLength(2);
    for (const { host, authorization } of seen) {
      expect(authorization).toBe(host === 'hub' ? `Bearer ${TOKEN}` : undefined);
    }
  });

  it('follows pages of a listing to another host without the token', async () => {
    const elsewhere = await startHub();
    elsewhere.repos = hub.repos;
    hub.fault = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      const next = `${elsewhere.endpoint}${request.url!.split('?')[0]}?cursor=0`;
      response.writeHead(200, { Link: `<${next}>; rel="next"` }).end('[]');
      return true;
    };
    await tiny();
    expect(elsewhere.seen.length).toBeGreaterThan(0);
    expect(elsewhere.seen.map(({ authorization }) => authorization)).toEqual(elsewhere.seen.map(() => undefined));
    await elsewhere.close();
  });

  it('gets nothing twice', async () => {
    await tiny();
    hub.seen.length = 0;
    const onProgress = vi.fn();
    await tiny({ onProgress });
    expect(hub.seen.map(({ path }) => path.split('?')[0])).toEqual(['/api/models/someone/tiny/revision/main']);
    expect(onProgress).not.toHaveBeenCalled();
  });

  it('moves a branch to a newer commit once all of it is there, sharing what is the same', async () => {
    await tiny();
    hub.repos['models/someone/tiny'] = { commit: NEWER, files: { ...files, 'config.json': '{"new":1}' } };
    hub.fault = (request, response) => {
      const isConfig = request.url!.endsWith('/config.json');
      if (isConfig) refuse(response, 404, 'EntryNotFound');
      return isConfig;
    };
    await failure(tiny());
    expect(readFileSync(join(store(), 'refs', 'main'), 'utf8')).toBe(COMMIT);
    hub.fault = undefined;
    hub.seen.length = 0;
    expect((await tiny()).commit).toBe(NEWER);
    expect(hub.seen.filter(({ path }) => path.includes('/resolve/'))).toHaveLength(1);
    expect(readFileSync(join(store(), 'refs', 'main'), 'utf8')).toBe(NEWER);
  });

  it('takes a branch, a tag or a commit', async () => {
    hub.repos['models/someone/tiny'].revisions = { 'refs/pr/1': { commit: NEWER, files } };
    expect((await tiny({}, 'someone/tiny@refs/pr/1')).commit).toBe(NEWER);
    expect(readFileSync(join(store(), 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(NEWER);
    expect((await tiny({}, `someone/tiny@${COMMIT}`)).commit).toBe(COMMIT);
    expect(readdirSync(join(store(), 'refs'))).toEqual(['refs']);
  });

  it('gets what --include and --exclude choose', async () => {
    const { files: got } = await tiny({ include: ['*.safetensors', 'config.?son'], exclude: ['*-0000?-of*'] });
    expect(got).toEqual(['config.json', 'consolidated.safetensors', 'onnx/model.safetensors']);
    expect(await failure(tiny({ include: ['*.gguf'] }))).toMatchObject({
      hint: expect.stringContaining('config.json'),
    });
  });

  it('says what a model without safetensors has', async () => {
    hub.repos['models/someone/tiny'].files = { 'config.json': '{}', 'pytorch_model.bin': 'x' };
    const error = await failure(tiny());
    expect(error.message).toContain('*.safetensors');
    expect(error.hint).toContain('pytorch_model.bin');
  });

  it('gets empty files, and names that an address must spell otherwise', async () => {
    hub.repos['datasets/someone/data'] = { commit: COMMIT, files: { 'a b/ü#%?.jsonl': '{}\n', 'empty.csv': '' } };
    const { folder } = await pull(hubName('someone/data', 'dataset'), options);
    expect(readFileSync(join(folder, 'a b', 'ü#%?.jsonl'), 'utf8')).toBe('{}\n');
    expect(readFileSync(join(folder, 'empty.csv'), 'utf8')).toBe('');
  });
});

describe('a transfer that fails', () => {
  it('goes on where the connection was cut, and tells how far it is', async () => {
    const half = 150_000;
    onShard(
      (request, response) => cutAfter(request, response, weights, half),
      (request, response) => cutAfter(request, response, weights, half + 1000),
      (_, response) => refuse(response, 503),
    );
    const progress: number[] = [];
    const onWarning = vi.fn();
    await tiny({ onWarning, onProgress: (bytes) => progress.push(bytes) });
    const ranges = hub.seen.filter(({ path }) => path.startsWith(SHARD)).map(({ range }) => range);
    expect(ranges).toEqual([undefined, `bytes=${half}-`, `bytes=${half + 1000}-`, `bytes=${half + 1000}-`]);
    expect(onWarning).toHaveBeenCalledTimes(3);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  it('goes on in a later call where an earlier one gave up, or a killed process stopped', async () => {
    hub.fault = (request, response) => {
      const isShard = request.url!.startsWith(SHARD);
      if (isShard) cutAfter(request, response, weights, 100_000);
      return isShard;
    };
    expect((await failure(tiny())).hint).toContain('kept');
    expect(partials()).toHaveLength(1);
    expect(readdirSync(join(store(), 'snapshots', COMMIT))).not.toContain('model-00001-of-00002.safetensors');
    hub.fault = undefined;
    hub.seen.length = 0;
    let first: number | undefined;
    const { bytes } = await tiny({
      onProgress: (done) => {
        first ??= done;
      },
    });
    expect(hub.seen.find(({ path }) => path.startsWith(SHARD))?.range).toBe('bytes=100000-');
    expect(first).toBe(bytes - other.length - 200_000);
    expect(partials()).toEqual([]);
  });

  it('leaves alone what a living process of this or another machine writes, and takes over what a dead one left', async () => {
    await tiny();
    rmSync(join(store(), 'snapshots'), { recursive: true });
    const oid = sha256(weights);
    rmSync(join(store(), 'blobs', oid));
    const host = (await import('node:os')).hostname().replaceAll(/[^\w.-]/g, '_');
    const living = [`${oid}.00000001.${host}.${process.ppid}.incomplete`, `${oid}.00000002.elsewhere.1.incomplete`];
    for (const name of living) writeFileSync(join(store(), 'blobs', name), 'half');
    const dead = `${oid}.00000003.${host}.999999999.incomplete`;
    writeFileSync(join(store(), 'blobs', dead), weights.subarray(0, 10));
    hub.seen.length = 0;
    await tiny();
    expect(hub.seen.find(({ path }) => path.startsWith(SHARD))?.range).toBe('bytes=10-');
    expect(partials().toSorted()).toEqual(living);
  });

  it('starts again where the server knows no ranges', async () => {
    hub.ranges = false;
    onShard((request, response) => cutAfter(request, response, weights, 5000));
    await tiny();
    expect(hub.seen.filter(({ path }) => path.startsWith(SHARD))).toHaveLength(2);
  });

  it('starts again where the server goes on at another byte, or sends too many', async () => {
    onShard(
      (request, response) => cutAfter(request, response, weights, 5000),
      (_, response) => response.writeHead(206, { 'Content-Range': 'bytes 0-299999/300000' }).end(weights),
      (request, response) => sendBytes(request, response, Buffer.concat([weights, weights])),
    );
    await tiny();
    expect(hub.seen.filter(({ path }) => path.startsWith(SHARD)).map(({ range }) => range)).toEqual([
      undefined,
      'bytes=5000-',
      undefined,
      undefined,
    ]);
  });

  it('gives up on a server that never gets further', async () => {
    hub.ranges = false;
    hub.fault = (request, response) => {
      const isShard = request.url!.startsWith(SHARD);
      if (isShard) cutAfter(request, response, weights, 5000);
      return isShard;
    };
    await failure(tiny());
    expect(hub.seen.filter(({ path }) => path.startsWith(SHARD)).length).toBeLessThan(10);
  });

  it('refuses bytes with a wrong checksum, small files too', async () => {
    const wrong = Buffer.from(weights).fill(0, 1000, 1001);
    onShard((request, response) => sendBytes(request, response, wrong));
    const error = await failure(tiny());
    expect(error.message).toContain(sha256(weights));
    expect(error.message).toContain(sha256(wrong));
    expect(partials()).toEqual([]);
    hub.fault = (request, response) => {
      const isConfig = request.url!.includes('/resolve/') && request.url!.endsWith('/config.json');
      if (isConfig) response.end(files['config.json'].replace('llama', 'gpt_2'));
      return isConfig;
    };
    rmSync(store(), { recursive: true });
    expect((await failure(tiny())).message).toContain('wrong checksum');
  });

  it('gets a file anew whose earlier part has gone bad', async () => {
    onShard((request, response) => cutAfter(request, response, weights, 100_000));
    await tiny({ signal: new AbortController().signal, retryDelay: 0 });
    rmSync(join(store(), 'snapshots'), { recursive: true });
    rmSync(join(store(), 'blobs', sha256(weights)));
    writeFileSync(join(store(), 'blobs', `${sha256(weights)}.00000001.incomplete`), Buffer.alloc(1000));
    const onWarning = vi.fn();
    const { folder } = await tiny({ onWarning });
    expect(onWarning).toHaveBeenCalledWith(expect.stringContaining('wrong checksum'));
    expect(readFileSync(join(folder, 'model-00001-of-00002.safetensors')).equals(weights)).toBe(true);
  });

  it('stops when told to, and keeps what has come', async () => {
    const controller = new AbortController();
    onShard((_, response) => {
      response.writeHead(200, { 'Content-Length': weights.length }).write(weights.subarray(0, 70_000));
    });
    const stopped = tiny({
      signal: controller.signal,
      onProgress: (bytes) => {
        if (bytes > 70_000) controller.abort(new Error('enough'));
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    expect(partials()).toHaveLength(1);
    await tiny();
    expect(hub.seen.findLast(({ path }) => path.startsWith(SHARD))?.range).toMatch(/^bytes=\d+-$/);
  });

  it('several pulls at once do no harm', async () => {
    const results = await Promise.all([tiny(), tiny(), tiny()]);
    for (const { folder } of results) {
      expect(readFileSync(join(folder, 'model-00001-of-00002.safetensors')).equals(weights)).toBe(true);
    }
    expect(partials()).toEqual([]);
  });

  it('says at once that the disk is too small', async () => {
    hub.entry = (entry) => (entry.lfs ? { ...entry, lfs: { ...entry.lfs, size: 2 ** 52 } } : entry);
    expect((await failure(tiny())).message).toMatch(/GB free/);
    expect(hub.seen.filter(({ host }) => host === 'storage')).toEqual([]);
  });
});

describe('a Hub that refuses', () => {
  it.each<[string, number, string | undefined, ...string[]]>([
    ['gated', 403, 'GatedRepo', 'gated', '/someone/tiny', 'license', 'HF_TOKEN'],
    ['a wrong token', 401, undefined, '(401)', 'HF_TOKEN'],
    ['not allowed', 403, undefined, '(403)', 'HF_TOKEN'],
    ['no such model, or a private one', 401, 'RepoNotFound', 'shows no model', '--dataset', 'HF_TOKEN'],
    ['no such model', 404, 'RepoNotFound', 'shows no model', 'HF_TOKEN'],
    ['no such revision', 404, 'RevisionNotFound', 'no revision "main"'],
    ['something else', 418, undefined, '418'],
  ])('%s: says what to do, and asks once', async (_, status, code, ...expected) => {
    hub.fault = (_request, response) => {
      refuse(response, status, code);
      return true;
    };
    const error = await failure(tiny());
    for (const text of expected) expect(`${error.message} ${error.hint}`).toContain(text);
    expect(hub.seen).toHaveLength(1);
  });

  it('tries a few times where it is in trouble, and waits as it asks', async () => {
    let times = 0;
    hub.fault = (_, response) => {
      times++;
      if (times < 4) response.writeHead(times === 2 ? 429 : 502, { 'Retry-After': '0' }).end();
      return times < 4;
    };
    expect((await tiny()).commit).toBe(COMMIT);
    hub.fault = (_, response) => {
      refuse(response, 500);
      return true;
    };
    expect((await failure(tiny())).message).toContain('500');
  });

  it('says that nobody is there', async () => {
    // a port that only a system service could have, and none has
    const error = await failure(tiny({ endpoint: 'http://127.0.0.1:2' }));
    expect(error.message).toContain('ECONNREFUSED');
    expect(error.hint).toContain('HF_ENDPOINT');
  });

  it.each([
    '/etc/passwd',
    '../out.json',
    'a/../../b.json',
    'a//b.json',
    'C:/x.json',
    'a\\..\\b.json',
    'a\u0000.json',
    './a.json',
  ])('is not believed about the path %j', async (path) => {
    hub.entry = (entry) => (entry.path === 'config.json' ? { ...entry, path } : entry);
    expect((await failure(tiny({ include: ['*'] }))).message).toContain('leads out of its folder');
    expect(hub.seen.filter(({ path: requested }) => requested.includes('/resolve/'))).toEqual([]);
  });

  it.each([{ oid: '../../x' }, { oid: undefined }, { size: -1 }, { size: '5' }])(
    'is not believed about %j',
    async (wrong) => {
      hub.entry = (entry) => (entry.path === 'config.json' ? { ...entry, ...wrong } : entry);
      expect((await failure(tiny())).message).toContain('does not answer like a Hub');
    },
  );

  it('is no Hub at all', async () => {
    hub.fault = (_, response) => {
      response.end('<html>Log in to this network</html>');
      return true;
    };
    expect((await failure(tiny())).message).toContain('does not answer like a Hub');
    hub.fault = (_, response) => {
      response.end('{"sha":"../../x"}');
      return true;
    };
    expect((await failure(tiny())).message).toContain('40 hex digits');
  });
});

describe('what is typed', () => {
  it.each([
    'tiny',
    'a/b/c',
    '',
    '/a',
    'a/',
    '../x',
    'a/..',
    'a--b/c',
    'a/b@',
    'a/b@../x',
    'a/b@x//y',
    'https://hub/a/b',
    'a/b@x@y',
  ])('%j is no name', (name) => {
    expect(() => hubName(name)).toThrow(HeedError);
  });

  it('a wrong address or token is refused without showing it', async () => {
    expect((await failure(tiny({ endpoint: 'hub.example' }))).hint).toContain('HF_ENDPOINT');
    expect((await failure(tiny({ endpoint: `http://me:${TOKEN}@hub.example` }))).hint).toContain('HF_ENDPOINT');
    expect((await failure(tiny({ token: `${TOKEN}\n${TOKEN}` }))).hint).toContain('HF_TOKEN');
    expect((await tiny({ token: `${TOKEN}\n` })).commit).toBe(COMMIT);
  });

  it('comes from the environment where nothing else is told', async () => {
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
    vi.stubEnv('HF_HUB_CACHE', undefined);
    vi.stubEnv('HUGGINGFACE_HUB_CACHE', undefined);
    vi.stubEnv('HF_HOME', cache);
    vi.stubEnv('HF_TOKEN', TOKEN);
    const { folder } = await pull(hubName('someone/tiny'));
    expect(folder).toBe(join(cache, 'hub', 'models--someone--tiny', 'snapshots', COMMIT));
    expect(hub.seen[0].authorization).toBe(`Bearer ${TOKEN}`);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    hub.seen.length = 0;
    expect((await pull(hubName('someone/tiny'))).folder).toBe(folder);
    expect(hub.seen).toEqual([]);
  });
});

describe('resolveModel', () => {
  it('a folder is itself; a file, or what is neither folder nor name, is an error', async () => {
    expect(await resolveModel(cache)).toBe(cache);
    const file = join(cache, 'x.safetensors');
    writeFileSync(file, '');
    expect((await failure(resolveModel(file))).message).toContain('is a file');
    expect((await failure(resolveModel('./no/such'))).message).toMatch(/no folder .* OWNER\/NAME/);
    expect((await failure(resolveModel('reviews-bse'))).hint).toBe('did you mean "reviews-base"?');
    mkdirSync(join(cache, 'trained'));
    expect((await failure(resolveModel(join(cache, 'unlike')))).hint).toContain('Check the path');
    expect((await failure(resolveModel(join(file, 'trained')))).hint).toContain('Check the path');
    const near = await failure(resolveModel(join(cache, 'traned')));
    expect(near.hint).toBe(`did you mean "${join(cache, 'trained')}"?`);
    const misspelled = await failure(resolveModel('runs/none', options));
    expect(misspelled.message).toContain('There is no folder "runs/none", and it cannot be fetched from the Hub: ');
    expect(misspelled.hint).toContain('a folder of yours');
  });

  it('pulls once, and then asks nobody', async () => {
    const folder = await resolveModel('someone/tiny', options);
    expect(folder).toBe(join(store(), 'snapshots', COMMIT));
    hub.seen.length = 0;
    expect(await resolveModel('someone/tiny', options)).toBe(folder);
    expect(await resolveModel(`someone/tiny@${COMMIT}`, options)).toBe(folder);
    expect(hub.seen).toEqual([]);
    rmSync(join(folder, 'config.json'));
    expect(await resolveModel('someone/tiny', options)).toBe(folder);
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toBe(files['config.json']);
  });

  it('offline, takes what another tool left, and says what is not there', async () => {
    const error = await failure(resolveModel('someone/tiny', { ...options, offline: true }));
    expect(error.hint).toContain('HF_HUB_OFFLINE');
    const folder = join(store(), 'snapshots', COMMIT);
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(store(), 'refs'));
    writeFileSync(join(store(), 'refs', 'main'), COMMIT);
    writeFileSync(join(folder, 'model.safetensors'), 'x');
    expect(await resolveModel('someone/tiny', { ...options, offline: true })).toBe(folder);
    expect(hub.seen).toEqual([]);
  });
});

it('resolveDataset: a file or folder is itself, a name is pulled', async () => {
  const file = join(cache, 'rows.jsonl');
  writeFileSync(file, '');
  expect(await resolveDataset(file)).toBe(file);
  expect((await failure(resolveDataset('rows.csv', options))).message).toContain('no file or folder');
  const data = {
    'data/train.jsonl': '{}\n',
    'test.parquet': 'PAR1',
    'x.csv.gz': 'z',
    'picture.png': 'p',
    'README.md': '#',
  };
  hub.repos['datasets/someone/data'] = { commit: COMMIT, files: data };
  const folder = await resolveDataset('someone/data', options);
  expect(folder).toBe(join(cache, 'datasets--someone--data', 'snapshots', COMMIT));
  expect(readdirSync(folder).toSorted()).toEqual(['data', 'test.parquet', 'x.csv.gz']);
});
