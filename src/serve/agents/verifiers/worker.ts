/**
 * A Python process that plays environments of the package `verifiers`; worker.py has the other half of the protocol,
 * lines of JSON. Episodes run side by side in it. A process that dies is replaced, and the episodes under way begin anew. So
 * is a process that an episode blocks, which keeps the others waiting; that episode fails.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Row } from '../../../data/row.ts';
import { HeedError, messageOf } from '../../../error.ts';
import { wait } from '../../../node.ts';
import type { AgentEnd } from '../agent-tasks.ts';
import type { AgentRun } from '../program.ts';

/** What a process reports about its environment. */
export interface VerifiersDescription {
  /** Version of the package. */
  version: string;
  /** Hash of the tasks: those of a process that replaces another have to be the same. */
  digest: string;
  /** Tasks to train on; `id` names each for the process. */
  tasks: Row[];
  /** Tasks of the evaluation set; none if there is none. */
  heldOut: Row[];
}

/** A Python process with an environment, which is replaced if it dies. */
export interface VerifiersWorker extends Disposable {
  /** Starts the process if none runs. @throws HeedError if Python, the package or the environment is missing. */
  ready(): Promise<VerifiersDescription>;
  /**
   * Plays an episode, with at most so many turns of the policy. Rejects with the signal's reason when it aborts.
   *
   * @throws HeedError if no process can be started.
   */
  play(run: AgentRun, turns: number): Promise<AgentEnd>;
}

/** Time limits of processes, in milliseconds. */
export interface VerifiersLimits {
  /** In which a process has to take notice of an aborted episode. */
  notice: number;
  /** In which a blocked process may say where it is. */
  lastWords: number;
}

/** The limits unless somebody says otherwise. */
const LIMITS: VerifiersLimits = { notice: 2000, lastWords: 500 };

/** Milliseconds in which a process may free what its environment holds. */
const GRACE = 6000;
/** Lines of a dead process's output that an error shows. */
const SHOWN = 12;

/** How an episode ended, or that it was cancelled. */
interface Reply extends AgentEnd {
  cancelled?: boolean;
}

/** Where a process is that does not answer: in which episode, and in which line. */
interface Blocked {
  id: number | null;
  place: string;
}

/** A process that runs. */
interface Running {
  description: VerifiersDescription;
  /** Sends a request. */
  send(request: object): void;
  /** Waits for the reply to a request, by its id. If the process dies, that is the failure, and the episode can begin anew. */
  reply(id: number): Promise<Reply>;
  /**
   * Ends an episode whose signal has aborted. Returns how it ended if the process was blocked and had to be ended too;
   * otherwise nothing.
   */
  cancel(id: number, reply: Promise<Reply>): Promise<AgentEnd | undefined>;
  /** Ends the process in order. */
  close(): void;
}

/** Makes a worker for an environment, by its id and its arguments. */
export function createVerifiersWorker(
  python: string,
  order: { id: string; arguments: Readonly<Record<string, unknown>> },
  limits: VerifiersLimits = LIMITS,
): VerifiersWorker {
  let running: Promise<Running> | undefined;
  let first: VerifiersDescription | undefined;
  let requests = 0;
  const start = () => {
    if (running) return running;
    const started = startPython(python, JSON.stringify(order), limits, () => {
      if (running === started) running = undefined;
    });
    running = started;
    return started;
  };
  return {
    async ready() {
      const { description } = await start();
      first ??= description;
      if (description.digest === first.digest) return first;
      throw new HeedError(`--env verifiers: the environment "${order.id}" has different tasks at each load.`, {
        hint: 'Its load_environment must return the same tasks for the same arguments: use a seed.',
      });
    },
    async play({ task, baseUrl, signal }, turns) {
      const worker = await start();
      signal.throwIfAborted();
      const id = ++requests;
      const reply = worker.reply(id);
      worker.send({ id, task: task.id, baseUrl, turns });
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      const ended = (await Promise.race([reply, aborted])) ?? (await worker.cancel(id, reply));
      if (ended) return ended;
      throw signal.reason;
    },
    [Symbol.dispose]() {
      void running?.then((worker) => worker.close()).catch(() => {});
      running = undefined;
    },
  };
}

/** Starts Python on worker.py; `over` is called when the process has ended. @throws HeedError if it reports an error. */
async function startPython(
  python: string,
  order: string,
  { notice, lastWords }: VerifiersLimits,
  over: () => void,
): Promise<Running> {
  const script = fileURLToPath(new URL('./worker.py', import.meta.url));
  const child = spawn(python, [script, order], {
    stdio: 'pipe',
    env: { ...process.env, NO_PROXY: [process.env.NO_PROXY, '127.0.0.1'].filter(Boolean).join(',') },
  }) as ChildProcessByStdio<Writable, Readable, Readable>;
  const waiting = new Map<number, (end: Reply) => void>();
  let reportBlocked: (at: Blocked) => void;
  const blocked = new Promise<Blocked>((resolve) => {
    reportBlocked = resolve;
  });
  let output = '';
  let fate: string | undefined;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-20_000);
  });
  child.stdin.on('error', () => {}); // that it is dead is seen by its end
  const shown = () => {
    const lines = output.trim().split('\n').slice(-SHOWN).join('\n');
    return lines ? `; its last output:\n${lines}` : '';
  };
  /** The process is of no use any more: its episodes begin anew in another. */
  const lose = (how: string) => {
    over();
    fate ??= `the Python process ${how}`;
    if (waiting.size > 0) {
      const again = `${waiting.size} ${waiting.size === 1 ? 'episode begins' : 'episodes begin'} again`;
      process.emitWarning(`--env verifiers: ${fate}. ${again}.`, { code: 'HEED_PYTHON_REPLACED' });
    }
    for (const settle of waiting.values()) settle({ failure: fate, again: true });
  };
  const description = await new Promise<VerifiersDescription>((resolve, reject) => {
    const fail = (message: string, hint?: string | null, cause?: unknown) => {
      over();
      reject(new HeedError(message, { hint: hint ?? undefined, cause }));
    };
    child.once('error', (cause) =>
      fail(
        `--env verifiers: cannot start Python with "${python}": ${messageOf(cause)}`,
        "Install Python 3.11 or later and run: python3 -m pip install 'verifiers>=0.1.11,<0.4'. Or set HEED_PYTHON to a Python that has it.",
        cause,
      ),
    );
    createInterface(child.stdout).on('line', (line) => {
      const { ready, error, where, id, ...end } = JSON.parse(line);
      if (ready) resolve(ready);
      else if (where) reportBlocked(where);
      else if (error) fail(error.message, error.hint);
      else waiting.get(id)?.(end);
    });
    child.once('close', (code, signal) => {
      const how = `died (${signal ?? `exit code ${code}`})`;
      fail(`--env verifiers: the Python process ${how} before it was ready${shown()}`);
      lose(how + shown());
    });
  });
  // a training that ends with an error must not be kept alive
  child.unref();
  for (const pipe of [child.stdin, child.stdout, child.stderr]) (pipe as unknown as { unref(): void }).unref();
  const send = (request: object) => void child.stdin.write(`${JSON.stringify(request)}\n`);
  const end = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  };
  return {
    description,
    send,
    reply: (id) =>
      new Promise<Reply>((resolve) => {
        const settle = (reply: Reply) => {
          waiting.delete(id);
          resolve(reply);
        };
        waiting.set(id, settle);
        if (fate !== undefined) settle({ failure: fate, again: true });
      }),
    async cancel(id, reply) {
      send({ cancel: id });
      const ended = await Promise.race([reply, wait(notice, undefined, { ref: false })]);
      if (ended) return ended.cancelled ? undefined : ended;
      send({ where: true });
      const at = await Promise.race([blocked, wait(lastWords, undefined, { ref: false })]);
      if (at && at.id === null) return undefined; // it only does not end: the others go on
      const place = at ? ` in ${at.place}` : '';
      waiting.get(at?.id ?? id)?.({ failure: `the environment blocked its Python process${place}` });
      lose('was blocked by another episode');
      end('SIGKILL');
      return reply;
    },
    close() {
      child.stdin.end();
      setTimeout(() => end('SIGKILL'), GRACE).unref();
    },
  };
}
