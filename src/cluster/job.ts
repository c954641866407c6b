/** What runs on a node of the cluster: does its order in a folder of its own, and sends that folder home as it changes. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { HeedError, messageOf } from '../error.ts';
import { onDisk, readJsonFile } from '../files.ts';
import { loadPlugins } from '../plugins.ts';
import { isRun } from '../run/run.ts';
import { type Cell, runCell } from '../sweep/cell.ts';
import { frameLine, type JobEnd, type SyncFrame } from './frames.ts';
import { createMirror } from './mirror.ts';

/** What a job is to do: to train by a heed command with its settings, or to train a cell of a sweep. */
export type Order = {
  /** heed's version where the job was submitted. */
  version: string;
  /** Folder of the job in a file system that all nodes share, for runs whose checkpoints are too large for the log. */
  storage?: string;
  checkpointSeconds?: number;
} & ({ command: string; settings: Readonly<Record<string, unknown>> } | { cell: Cell } | { trainer: TrainerOrder });

/** What a job of a trainer needs: its files are in the run's folder `trainer`. */
export interface TrainerOrder {
  /** Python of the nodes. */
  python: string;
  /** Further files and folders: where they are in the package, and here. */
  inputs: Readonly<Record<string, string>>;
  /** The base model of an adapter, as it is named here. */
  base: string;
}

/** The folder of a trainer's files in a run's folder, and its program. */
export const TRAINER = 'trainer';
export const TRAINER_PROGRAM = 'heed_job.py';

/** The name of the order in a package, and of the run's folder. */
export const ORDER = 'order.json';
export const RUN = 'run';

/** Larger files stay in the storage. */
const MOST_FROM_STORAGE = 2 ** 20;
/** Milliseconds between looks at the folder. */
const EVERY = 1000;
const ERROR_LINES = 20;
const SETTINGS = 'settings.json';
/** Exit code after SIGTERM. */
const STOPPED = 143;

/**
 * Does the order in this folder. Files go to `write` as frames, and everything else that the program says as it is.
 *
 * @param heed the program that is running, which does commands too.
 * @returns the exit code.
 */
export async function runOrder(
  heed: string,
  { version, write, signal }: { version: string; write(text: string): void; signal?: AbortSignal },
): Promise<number> {
  const order = readOrder();
  const send = (frame: SyncFrame) => write(frameLine(frame));
  if (order.version !== version) {
    const error = `The cluster has heed ${version}, and the job comes from heed ${order.version}: install the same version on both.`;
    send({ kind: 'end', code: 1, error });
    return 1;
  }
  if ('trainer' in order) throw new HeedError('The order is one for a trainer in Python, which does not need heed.');
  const folder = workFolder(order.storage);
  const run = join(folder, RUN);
  const mirror = createMirror(run, send, { most: order.storage === undefined ? undefined : MOST_FROM_STORAGE });
  const timer = setInterval(mirror, EVERY);
  let end: JobEnd;
  try {
    end = await ('cell' in order
      ? trainCell(order, run, send, signal)
      : runCommand(heed, order, folder, write, signal));
    clearInterval(timer);
    // of a finished cell nothing but its result remains
    if (!('cell' in order && end.code === 0)) mirror();
  } catch (error) {
    end = { code: 1, error: inWords(error) };
  } finally {
    clearInterval(timer);
    if (order.storage === undefined) rmSync(folder, { recursive: true, force: true });
  }
  send({ kind: 'end', ...end });
  return end.code;
}

const inWords = (error: unknown) =>
  error instanceof HeedError && error.hint ? `${error.message}\n${error.hint}` : messageOf(error);

const readOrder = (): Order => readJsonFile(resolve(ORDER)) as Order;

/** Jobs with equal packages share the folder that Ray unpacks: each works in one of its own. */
function workFolder(storage: string | undefined): string {
  const folder = storage ?? mkdtempSync(join(tmpdir(), 'heed-job-'));
  onDisk('write', folder, () => {
    mkdirSync(join(folder, RUN), { recursive: true });
    for (const name of readdirSync('.')) {
      if (name === RUN) cpSync(RUN, join(folder, RUN), { recursive: true, force: false });
      else if (name !== ORDER) {
        rmSync(join(folder, name), { force: true }); // a link of an earlier job, on another node
        symlinkSync(resolve(name), join(folder, name));
      }
    }
  });
  return folder;
}

async function trainCell(
  { cell, checkpointSeconds }: Extract<Order, { cell: Cell }>,
  folder: string,
  send: (frame: SyncFrame) => void,
  signal?: AbortSignal,
): Promise<JobEnd> {
  await loadPlugins();
  const onStep = ({ step }: { step: number }) => send({ kind: 'step', step });
  const result = await runCell(cell, folder, { signal, checkpointSeconds, onStep });
  return result ? { code: 0, result } : { code: STOPPED };
}

/** Runs a heed command, or resumes its run; its result is the last line of its stdout. */
async function runCommand(
  heed: string,
  { command, settings, checkpointSeconds }: Extract<Order, { command: string }>,
  cwd: string,
  write: (text: string) => void,
  signal?: AbortSignal,
): Promise<JobEnd> {
  const resumes = isRun(join(cwd, RUN));
  if (!resumes) writeFileSync(join(cwd, SETTINGS), JSON.stringify(settings));
  const args = [
    ...[heed, ...command.split(' '), '--json', ...(resumes ? ['--resume', RUN] : ['--config', SETTINGS, '--out', RUN])],
    ...(checkpointSeconds === undefined ? [] : ['--checkpoint-seconds', `${checkpointSeconds}`]),
  ];
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => child.kill('SIGTERM');
  signal?.addEventListener('abort', stop);
  const last: string[] = [];
  let printed = '';
  const reading = [
    eachLine(child.stdout, (line) => {
      printed = line;
    }),
    eachLine(child.stderr, (line) => {
      write(`${line}\n`);
      last.push(line);
      if (last.length > ERROR_LINES) last.shift();
    }),
  ];
  const code = await new Promise<number>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, killed) => done(code ?? (killed === 'SIGKILL' ? 137 : STOPPED)));
  });
  await Promise.all(reading);
  signal?.removeEventListener('abort', stop);
  return code === 0 ? { code, result: JSON.parse(printed) } : { code, error: last.join('\n') };
}

async function eachLine(input: NodeJS.ReadableStream, use: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) use(line);
}
