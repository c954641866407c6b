/**
 * A Python process that steps environments, connected by two FIFOs; worker.py has the other half of the protocol. Node
 * polls for an answer for a moment, since waking up is slow, and then waits in a blocking read. So a step is one round
 * trip and needs no event loop. If the process dies, the read ends; another process is started, which replays the
 * current episodes and repeats the request. A process that hangs is ended by an alarm of its own.
 */

import type { ChildProcess } from 'node:child_process';
import { HeedError, messageOf } from '../../error.ts';
import {
  closeSync,
  constants,
  execFileSync,
  fileURLToPath,
  join,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  spawn,
  tmpdir,
  writeSync,
} from '../../node.ts';
import { look, newLooks } from '../../threads/wait.ts';

/** Requests to worker.py, as numbers of the protocol. */
export const processOperations = { reset: 0, step: 1, replay: 2, frame: 3, close: 4 } as const;

/** Deaths during one request after which it is not repeated. */
const MOST_DEATHS = 3;
/** Hangs during one request after which it is not repeated. */
const MOST_HANGS = 2;
/**
 * How long to poll for an answer before sleeping, ms: longer than a step of eight copies of MuJoCo's smaller worlds.
 */
const LOOK = 0.5;

/** The kind of an answer that comes before another one. */
const NOTICE = 2;

interface PythonFailure {
  message: string;
  hint: string | null;
  fault?: PythonFault['fault'] | null;
}

/** What an environment in Python did wrong, and which of those that the request called. */
export class PythonFault extends HeedError {
  readonly fault: { did: string; thrown: string | null; copy: number; episodeStep: number };

  constructor(fault: PythonFault['fault'], hint: string | undefined) {
    super(fault.did, { hint });
    this.fault = fault;
  }
}

/** A Python process that runs worker.py, and is replaced if it dies. */
export interface PythonProcess {
  /** What worker.py reported about the environment at its start. */
  readonly description: unknown;
  /** The current process's id. */
  readonly pid: number;
  /** Number of processes that died and were replaced. */
  readonly restarts: number;
  readonly released: boolean;
  /** Sends a request. Receive its answer before the next one. */
  send(operation: keyof typeof processOperations, body: Uint8Array): void;
  /** Waits for the answer and returns its body, valid until the next. @throws HeedError with Python's message. */
  receive(): DataView;
  /** Calls `live` after a restart, so that it replays the episodes. Returns a function that removes it. */
  onRestart(live: () => void): () => void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/**
 * Starts Python on worker.py. `order` is its argument; `patience` is the time limit of an answer in seconds. `onNotice`
 * is called with what an environment finds out about itself.
 */
export function startPython(
  python: string,
  order: { patience: number; [other: string]: unknown },
  onNotice: (text: string) => void,
): PythonProcess {
  if (process.platform === 'win32') {
    throw new HeedError('Gymnasium environments need FIFOs, which Windows lacks', { hint: 'run heed in WSL' });
  }
  const folder = mkdtempSync(join(tmpdir(), 'heed-python-'));
  const log = join(folder, 'log');
  const living = new Set<() => void>();
  let running: Running | undefined;
  let last = new Uint8Array(8);
  let header = new DataView(last.buffer);
  let restarts = 0;
  const receiveOnce = createReader(onNotice);

  const start = () => {
    running = startWorker(python, order, folder, log);
    const answer = receiveOnce(running);
    if (!answer) throw death('ended before it was ready');
    return JSON.parse(new TextDecoder().decode(answer)) as unknown;
  };

  const send: PythonProcess['send'] = (operation, body) => {
    if (last.length !== 8 + body.length) {
      last = new Uint8Array(8 + body.length);
      header = new DataView(last.buffer);
    }
    header.setUint32(0, processOperations[operation], true);
    header.setUint32(4, body.length, true);
    last.set(body, 8);
    write();
  };

  function write(): void {
    try {
      for (let sent = 0; sent < last.length; ) sent += writeSync(running!.requests, last, sent);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error; // dead: the read will report it
    }
  }

  function receive(): DataView {
    for (let deaths = 1, hangs = 0; ; deaths++) {
      const began = performance.now();
      const answer = receiveOnce(running!);
      if (answer) return answer;
      if (performance.now() - began >= 900 * order.patience && ++hangs === MOST_HANGS) {
        throw death(`did not answer for ${order.patience} seconds, nor when the request was repeated`);
      }
      if (deaths === MOST_DEATHS) throw death(`died ${MOST_DEATHS} times over the same step`);
      restarts++;
      running?.stop();
      start();
      const request = last.slice();
      for (const live of living) live();
      [last, header] = [request, new DataView(request.buffer)];
      write();
    }
  }

  const death = (what: string) => deathOf(log, what);
  const release = () => {
    running?.stop();
    running = undefined;
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    const description = start();
    return {
      description,
      get pid() {
        return running!.child.pid!;
      },
      get restarts() {
        return restarts;
      },
      get released() {
        return running === undefined;
      },
      send,
      receive,
      onRestart(live) {
        living.add(live);
        return () => living.delete(live);
      },
      [Symbol.dispose]: release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** The error for a process that `what` happened to, with the end of its log. */
function deathOf(log: string, what: string): HeedError {
  const output = readFileSync(log, 'utf8').trim().split('\n').slice(-12).join('\n');
  return new HeedError(
    `the Python process of the environment ${what}${output ? `; its last output:\n${output}` : ''}`,
    { hint: 'run the environment in Python alone, to see why' },
  );
}

/** Reads answers of a process. The body that it returns is valid until the next; undefined if the process is dead. */
function createReader(onNotice: (text: string) => void): (from: Descriptors, got?: number) => DataView | undefined {
  let memory = new Uint8Array(1 << 16);
  const looks = newLooks();
  const lengthOf = (): number => 8 + (memory[4] | (memory[5] << 8) | (memory[6] << 16)) + memory[7] * 2 ** 24;

  /** Bytes of an answer that arrived while polling; undefined if none. */
  function glance(glances: number): number | undefined {
    let got: number | undefined;
    const seen = () => {
      got = readNow(glances, memory);
      return got !== undefined;
    };
    look(looks, seen, LOOK);
    return got;
  }

  /** `got`: how many of its bytes are in memory already. */
  return function read({ answers, glances }, got = 0): DataView | undefined {
    let length = got < 8 ? 8 : lengthOf();
    while (got < length) {
      const more =
        (got === 0 ? glance(glances) : undefined) ?? readSync(answers, memory, got, memory.length - got, null);
      if (more === 0) return undefined;
      got += more;
      if (got < 8) continue;
      length = lengthOf();
      if (length <= memory.length) continue;
      const larger = new Uint8Array(length);
      larger.set(memory.subarray(0, got));
      memory = larger;
    }
    const body = new DataView(memory.buffer, 8, length - 8);
    if (memory[0] === 0) return body;
    const text = new TextDecoder().decode(body);
    if (memory[0] === NOTICE) {
      onNotice(text);
      memory.copyWithin(0, length, got);
      return read({ answers, glances }, got - length);
    }
    const { message, hint, fault } = JSON.parse(text) as PythonFailure;
    throw fault ? new PythonFault(fault, hint ?? undefined) : new HeedError(message, { hint: hint ?? undefined });
  };
}

/** Reads what is there; undefined if there is nothing. */
function readNow(descriptor: number, memory: Uint8Array): number | undefined {
  try {
    return readSync(descriptor, memory, 0, memory.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

interface Descriptors {
  answers: number;
  /** Like `answers`, but reads never wait. */
  glances: number;
}

/** The process, with descriptors of this process's ends. */
interface Running extends Descriptors {
  child: ChildProcess;
  requests: number;
  stop(): void;
}

function startWorker(python: string, order: unknown, folder: string, log: string): Running {
  const paths = [join(folder, 'requests'), join(folder, 'answers')];
  for (const path of paths) rmSync(path, { force: true });
  execFileSync('mkfifo', paths);
  // opening one end of a FIFO waits for the other, unless it is opened for both
  const both = paths.map((path) => openSync(path, 'r+'));
  const [requests, answers] = [openSync(paths[0], 'w'), openSync(paths[1], constants.O_RDONLY)];
  const glances = openSync(paths[1], constants.O_RDONLY | constants.O_NONBLOCK);
  const theirs = [openSync(paths[0], constants.O_RDONLY), openSync(paths[1], 'w'), openSync(log, 'w')];
  const script = fileURLToPath(new URL('./worker.py', import.meta.url));
  const child = spawn(python, [script, JSON.stringify(order)], { stdio: [theirs[0], theirs[2], theirs[2], theirs[1]] });
  // from here on only the Python process holds the other ends, so its death ends our read
  for (const descriptor of [...both, ...theirs]) closeSync(descriptor);
  const stop = () => {
    for (const descriptor of [requests, answers, glances]) closeSync(descriptor);
    if (child.pid !== undefined) child.kill(); // for a process that never started, this would end our own process group
  };
  let failed: unknown;
  child.on('error', (error) => {
    failed = error;
  });
  child.unref();
  if (child.pid === undefined) {
    stop();
    throw new HeedError(`cannot start Python with "${python}"${failed ? `: ${messageOf(failed)}` : ''}`, {
      hint: 'install Python 3.10 or later and "pip install gymnasium", or set HEED_PYTHON to a Python that has it',
    });
  }
  return { child, requests, answers, glances, stop };
}
