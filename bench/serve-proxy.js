/**
 * What the recording proxy adds to a request, in milliseconds: node bench/serve-proxy.js [REQUESTS] [CLIENTS]
 *
 * Client, provider and proxy are processes of their own. The provider answers at once. Each client sends a request to it
 * directly and then through the proxy, in turn, so that both see the same machine; whole responses first, then streams.
 * Prints one line of JSON. Run it on a quiet machine: three processes want three cores. HEED_BENCH_PROFILE=FOLDER writes
 * a profile of the proxy there (node --cpu-prof).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const own = fileURLToPath(import.meta.url);
const [role = '1000', ...rest] = process.argv.slice(2);
await (role === 'provider'
  ? provider()
  : role === 'client'
    ? client(...rest)
    : measure(Number(role), Number(rest[0] ?? 1)));

/** Answers at once: 200 words, whole or in as many events. */
async function provider() {
  const words = Array.from({ length: 200 }, (_, i) => `word${i} `);
  const usage = { prompt_tokens: 300, completion_tokens: 200, total_tokens: 500 };
  const shared = { object: 'chat.completion', created: 1, model: 'big' };
  const message = { role: 'assistant', content: words.join('') };
  const whole = JSON.stringify({ ...shared, choices: [{ index: 0, message, finish_reason: 'stop' }], usage });
  const events = (id) =>
    words.map((content, i) => {
      const choices = [{ index: 0, delta: { content }, finish_reason: i + 1 < words.length ? null : 'stop' }];
      return `data: ${JSON.stringify({ id, ...shared, choices })}\n\n`;
    });
  let sent = 0;
  const server = createServer(async (incoming, response) => {
    let body = '';
    for await (const piece of incoming) body += piece;
    const id = `up-${process.pid}-${sent++}`;
    const { stream } = JSON.parse(body);
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    if (!stream) return response.end(`{"id":"${id}",${whole.slice(1)}`);
    for (const event of events(id)) response.write(event);
    return response.end('data: [DONE]\n\n');
  });
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/v1`));
}

/** Sends requests to both addresses in turn, and prints how long each took. */
async function client(direct, through, requests, stream) {
  const agent = new Agent({ keepAlive: true });
  const content = 'text '.repeat(60);
  const messages = Array.from({ length: 6 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content }));
  const body = JSON.stringify({ model: 'big', messages, user: 'ann', stream: stream === 'true' });
  const headers = { 'content-type': 'application/json', 'content-length': body.length, 'heed-session': 's' };
  const time = async (url) => {
    const began = performance.now();
    const sent = request(`${url}/chat/completions`, { method: 'POST', headers, agent });
    sent.end(body);
    const [response] = await once(sent, 'response');
    for await (const _ of response);
    if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}`);
    return performance.now() - began;
  };
  const pairs = [];
  // the first ones warm the code up
  for (let i = -200; i < Number(requests); i++) {
    const pair = [await time(direct), await time(through)];
    if (i >= 0) pairs.push(pair);
  }
  agent.destroy();
  console.log(JSON.stringify(pairs));
}

/** Starts a process, and waits for its first line. */
async function started(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  return { child, line: String(line) };
}

async function clients(count, args) {
  const all = Array.from({ length: count }, async () => {
    const child = spawn(process.execPath, [own, 'client', ...args.map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (piece) => {
      text += piece;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error('a client failed');
    return JSON.parse(text);
  });
  return (await Promise.all(all)).flat();
}

async function measure(requests, count) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-proxy-'));
  const source = await started([own, 'provider']);
  const direct = source.line.trim();
  const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));
  const profile = process.env.HEED_BENCH_PROFILE;
  const proxy = await started([
    ...(profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : []),
    ...[heed, 'serve', '--upstream', direct, '--folder', folder, '--port', '0', '--json'],
  ]);
  try {
    const { url } = JSON.parse(proxy.line);
    const share = Math.ceil(requests / count);
    const whole = figuresOf(await clients(count, [direct, url, share, false]));
    const stream = figuresOf(await clients(count, [direct, url, share, true]));
    console.log(JSON.stringify({ requests, clients: count, ...whole, stream }));
  } finally {
    source.child.kill();
    proxy.child.kill('SIGTERM');
    await once(proxy.child, 'close');
    rmSync(folder, { recursive: true, force: true });
  }
}

function figuresOf(pairs) {
  const at = (values, p) => values.toSorted((a, b) => a - b)[Math.floor(p * values.length)];
  const figures = (values) => ({ p50: at(values, 0.5), p99: at(values, 0.99) });
  return {
    direct: figures(pairs.map(([one]) => one)),
    through: figures(pairs.map(([, other]) => other)),
    added: figures(pairs.map(([one, other]) => other - one)),
  };
}
