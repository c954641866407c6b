/**
 * Reads inputs of one kind in a process of its own, which its parent watches: process.js KIND DIST PLAN. Before each
 * input it says its number, so that the parent knows which one it hangs or dies at.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { kinds } from './kinds.js';
import { input } from './mutations.js';

const MIB = 2 ** 20;
const [name, dist, told] = process.argv.slice(2);
const { seed, from, to, files, findings } = JSON.parse(told);
const kind = kinds[name];
const room = (part) => import(pathToFileURL(join(dist, part)).href);
const { HeedError } = await room('error.js');
const heed = { HeedError };
for (const part of kind.rooms) heed[part] = await room(`${part}/index.js`);
const folder = mkdtempSync(join(tmpdir(), 'heed-trust-'));
const place = join(folder, kind.file);

/** What else went wrong while an input was read, past every catch. */
let stray;
process.on('uncaughtException', (error) => {
  stray ??= error;
});

/** Kilobytes: the resident memory now, and its peak since `watch`. */
const status = (field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
const isLinux = process.platform === 'linux';
function watch() {
  if (!isLinux) return () => 0;
  writeFileSync('/proc/self/clear_refs', '5');
  const before = status('VmRSS');
  return () => (status('VmHWM') - before) / 1024;
}

/** What is wrong with how an input was taken: undefined if nothing is. */
async function faultOf(bytes) {
  writeFileSync(place, bytes);
  stray = undefined;
  const peak = watch();
  let outcome = 'accepted';
  let fault;
  let why;
  try {
    outcome = (await kind.read(heed, folder, bytes, state)) ?? outcome;
  } catch (error) {
    outcome = 'refused';
    why = error;
    if (!(error instanceof HeedError)) fault = error;
    else if (![kind.file, folder, ...(kind.names ?? [])].some((name) => error.message.includes(name)))
      fault = new Error(`a refusal without its place: ${error.message.slice(0, 300)}`);
  }
  await new Promise(setImmediate);
  fault ??= stray;
  const megabytes = peak();
  const most = 256 + (4 * bytes.length) / MIB;
  if (!fault && megabytes > most) fault = new Error(`memory: ${Math.round(megabytes)} MB for ${bytes.length} bytes`);
  return { outcome, megabytes, fault, why };
}

/** What makes two findings the same: the error, and where it comes from. */
function signature(error) {
  const message = String(error?.message ?? error)
    .replaceAll(folder, '')
    .replace(/\d+/g, 'N')
    .slice(0, 60);
  const frames = String(error?.stack)
    .split('\n')
    .filter((line) => /^\s+at .*\.js/.test(line) && !line.includes('/trust/'));
  const where = frames.slice(0, 2).map((frame) => /([\w.-]+\/[\w.-]+\.js):\d+/.exec(frame)?.[1] ?? '');
  return `${error?.name ?? 'thrown'}: ${message} | ${where.join(' < ')}`;
}

/** A shorter input with the same fault, by leaving out parts of it. */
async function shortened(bytes, wanted) {
  let best = bytes;
  let tries = 300;
  for (let size = best.length >> 1; size >= 1 && tries > 0; size >>= 1) {
    for (let at = 0; at + size <= best.length && tries-- > 0; ) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      process.send({ busy: true });
      const { fault } = await faultOf(shorter);
      if (fault && signature(fault) === wanted) best = shorter;
      else at += size;
    }
  }
  return best;
}

let state;
const counts = { inputs: 0, accepted: 0, refused: 0, findings: 0, megabytes: 0 };
const known = new Set();
try {
  const seeds = files ? [] : await kind.seeds(heed, folder);
  if (files && kind.seeds) await kind.seeds(heed, folder);
  state = await kind.open?.(heed, folder);
  if (!files) {
    for (const valid of kind.checked?.(seeds) ?? seeds) {
      const { fault, outcome, why } = await faultOf(valid);
      if (fault || (outcome !== 'accepted' && !kind.isRequest))
        console.error(`a valid ${name} is ${outcome}: ${fault?.stack ?? why?.message}`);
    }
  }
  process.send({ ready: true, seeds: seeds.map((valid) => Buffer.from(valid).toString('base64')) });
  for (let number = from; number < to; number++) {
    const bytes = files ? readFileSync(files[number]) : input({ ...kind, seeds }, seed, number);
    process.send({ number, counts });
    const { outcome, megabytes, fault } = await faultOf(bytes);
    counts.inputs++;
    counts[outcome]++;
    counts.megabytes = Math.max(counts.megabytes, Math.round(megabytes));
    if (!fault) continue;
    counts.findings++;
    const which = signature(fault);
    if (known.has(which)) continue;
    known.add(which);
    const least = files || /^memory/.test(fault.message) ? bytes : await shortened(bytes, which);
    const file = join(findings, `${createHash('sha256').update(which).digest('hex').slice(0, 8)}-${kind.file}`);
    mkdirSync(findings, { recursive: true });
    writeFileSync(file, least);
    const stack = String(fault?.stack ?? fault)
      .split('\n')
      .slice(0, 6)
      .join('\n');
    process.send({ finding: { kind: name, number, what: which, file: files?.[number] ?? file, stack } });
  }
  process.send({ done: true, counts });
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await state?.close?.();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
