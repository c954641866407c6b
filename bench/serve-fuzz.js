/**
 * What a public fuzzer finds in heed serve: node bench/serve-fuzz.js [--examples N] [--seed N] [--python PYTHON]
 *
 * schemathesis makes requests from the server's own OpenAPI document: valid ones, invalid ones, and sequences. The server
 * has keys, learns from feedback, and passes other models on to a second server. The ids of a few real objects are mixed
 * in (peers/schemathesis_hooks.py), so that requests reach more than a 404. Prints one line of JSON.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { fetchAgain, lastLine, path } from './sides.js';

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    python: { type: 'string', default: process.env.HEED_PEERS_PYTHON ?? process.env.HEED_PYTHON ?? 'python3' },
  },
});
/**
 * Checks that do not apply. What a schema cannot say, such as that two fields belong together, is refused with a 400. A
 * completion that nobody asked to store cannot be read again, as with OpenAI.
 */
const LEFT_OUT = ['positive_data_acceptance', 'ensure_resource_availability'].join(',');
/** Any status of a client's error refuses a wrong request: 411 and 413 too. */
const CONFIG = '[checks]\nnegative_data_rejection.expected-statuses = ["4xx"]\n';

const folder = mkdtempSync(join(tmpdir(), 'heed-fuzz-'));
const model = path('../test/fixtures/models/tiny-llama');
const heed = path('../bin/heed.js');
const servers = [];

async function start(name, ...flags) {
  const own = ['--folder', join(folder, name), '--runs', join(folder, `${name}-runs`), '--port', '0', '--json'];
  const loose = ['--maxTokens', '16', '--perMinute', '1000000', '--concurrency', '1000', '--drain', '1'];
  const server = spawn(process.execPath, [heed, 'serve', ...own, ...loose, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers.push(server);
  const lines = createInterface({ input: server.stdout });
  const [line] = await Promise.race([
    once(lines, 'line'),
    once(server, 'exit').then(() => Promise.reject(new Error(`${name} ended`))),
  ]);
  return { server, url: JSON.parse(line).url };
}

function command(...args) {
  const run = spawnSync(process.execPath, [heed, ...args], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`heed ${args.join(' ')}: ${run.stderr}`);
  return run.stdout;
}

try {
  const provider = await start('provider', '--model', `remote=${model}`);
  const scopes = ['--scopes', 'chat,train,feedback,admin'];
  const { secret } = JSON.parse(
    lastLine(command('serve', 'keys', 'add', 'fuzzer', ...scopes, '--folder', join(folder, 'fuzzed'), '--json')),
  );
  const policy = join(folder, 'policy.json');
  writeFileSync(policy, JSON.stringify({ judgments: 1000 }));
  const fuzzed = await start(
    'fuzzed',
    ...['--model', `tiny=${model}`, '--learn', policy, '--upstream', provider.url, '--jobs', '1'],
  );
  const headers = { authorization: `Bearer ${secret}` };
  const post = async (route, body) => {
    const isForm = body instanceof FormData;
    const response = await fetch(`${fuzzed.url}${route}`, {
      method: 'POST',
      headers: isForm ? headers : { ...headers, 'content-type': 'application/json' },
      body: isForm ? body : JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const messages = [{ role: 'user', content: 'Hello' }];
  const several = (make) => Promise.all(Array.from({ length: 8 }, (_, i) => make(i)));
  const completions = await several((i) =>
    post('/chat/completions', { model: 'tiny', messages, max_tokens: 4, store: true, user: `user-${i}` }),
  );
  const rows = [1, 2, 3, 4].map((i) =>
    JSON.stringify({ messages: [...messages, { role: 'assistant', content: `Hello ${i}` }] }),
  );
  const files = await several(() => {
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    form.set('file', new Blob([rows.join('\n')]), 'rows.jsonl');
    return post('/files', form);
  });
  const uploads = await several(() =>
    post('/uploads', { purpose: 'user_data', filename: 'a.txt', bytes: 3, mime_type: 'text/plain' }),
  );
  const job = await post('/fine_tuning/jobs', {
    model: 'tiny',
    training_file: files[0].id,
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 1 } } },
  });
  const ids = {
    ...{ model: 'tiny', user: 'user-1', jobs: [job.id] },
    completions: completions.map(({ id }) => id),
    files: files.map(({ id }) => id),
    uploads: uploads.map(({ id }) => id),
  };
  writeFileSync(join(folder, 'schemathesis.toml'), CONFIG);
  const flags = [
    ...['run', fuzzed.url.replace(/\/v1$/, '/openapi.json'), '--header', `Authorization: Bearer ${secret}`],
    ...['--checks', 'all', '--exclude-checks', LEFT_OUT, '--max-examples', values.examples, '--seed', values.seed],
    ...['--phases', 'examples,coverage,fuzzing,stateful', '--continue-on-failure', '--request-timeout', '60'],
  ];
  const run = spawnSync(values.python, ['-m', 'schemathesis.cli', ...flags], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    cwd: folder,
    env: {
      ...process.env,
      SCHEMATHESIS_HOOKS: 'schemathesis_hooks',
      PYTHONPATH: path('./peers'),
      HEED_FUZZ: JSON.stringify(ids),
      PYTHONDONTWRITEBYTECODE: '1',
    },
  });
  if (run.status !== 0) console.error(run.stdout.slice(-40_000), run.stderr.slice(-4000));
  const metrics = await (await fetchAgain(fuzzed.url.replace(/\/v1$/, '/metrics'), { headers })).text();
  const byStatus = {};
  for (const [, status, count] of metrics.matchAll(/^heed_requests_total\{[^}]*status="(\d+)"[^}]*\} (\d+)$/gm))
    byStatus[status] = (byStatus[status] ?? 0) + Number(count);
  const ended = once(fuzzed.server, 'exit');
  const alive = fuzzed.server.exitCode === null;
  fuzzed.server.kill('SIGTERM');
  const [code] = await ended;
  const numbers = /(\d+) generated/.exec(run.stdout);
  console.log(
    JSON.stringify({
      requests: Number(numbers?.[1] ?? 0),
      failures: Number(/(\d+) unique failures?/.exec(run.stdout)?.[1] ?? 0),
      passed: run.status === 0,
      ...{ byStatus, alive, exit: code },
    }),
  );
} finally {
  for (const server of servers) server.kill('SIGKILL');
  // a training may be writing still
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
}
