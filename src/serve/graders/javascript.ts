/**
 * Runs a grader's JavaScript in a process of its own, with limits on time and memory, and without Node's modules: the
 * source sees the language and nothing else. The process may read no file and start no other process (Node's permission
 * model), so that a program which leaves its context finds nothing either.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { GraderError } from './grader-error.ts';
import type { Graded } from './template.ts';

/** A loaded source, which stays loaded until it is disposed of. */
export interface JavascriptRunner extends Disposable {
  /**
   * The number that `grade(sample, item)` returns.
   *
   * @throws GraderError when the source does not load, throws, takes too long, or returns anything but a number.
   */
  grade(graded: Graded): Promise<number>;
}

/** What a grader's source may take. */
export interface JavascriptLimits {
  /** Milliseconds for a call. */
  time: number;
  /** Mebibytes of the process's heap. */
  memory: number;
  /** Milliseconds for a call and the start of its process, when even V8 cannot stop the source. */
  patience: number;
}

/** The limits unless somebody says otherwise. */
const LIMITS: JavascriptLimits = { time: 2000, memory: 128, patience: 15_000 };

/**
 * The process's program. It passes only text into the context and reads only text from it: an object of one side in the
 * hands of the other would be a way out.
 */
const programOf = (time: number) => `'use strict';
const vm = require('node:vm');
const timeout = ${time};
const options = { codeGeneration: { strings: false, wasm: false }, microtaskMode: 'afterEvaluate' };
const context = vm.createContext(Object.create(null), options);
const run = (code) => vm.runInContext(code, context, { timeout, filename: 'grader.js' });
const call = (graded) => {
  run('globalThis.__reply = undefined; (async () => { const [sample, item] = JSON.parse(' + JSON.stringify(graded) +
    '); return grade(sample, item); })().then((value) => { __reply = typeof value + ":" + String(value); }, ' +
    '(error) => { __reply = "error:" + error; });');
  const reply = context.__reply;
  return typeof reply === 'string' ? reply : 'promise:';
};
let broken;
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, source, graded } = JSON.parse(line);
  let reply = broken;
  try {
    if (source !== undefined) return void run(source);
    reply ??= call(graded);
  } catch (error) {
    reply = 'error:' + error;
    if (source !== undefined) return void (broken = reply);
  }
  process.stdout.write(JSON.stringify({ id, reply: reply.slice(0, 500) }) + '\\n');
});`;

/** Loads the source of a grader when it is first called. */
export function createJavascriptRunner(source: string, limits: Partial<JavascriptLimits> = {}): JavascriptRunner {
  const { time, memory, patience } = { ...LIMITS, ...limits };
  let child: ChildProcessWithoutNullStreams | undefined;
  let printed = '';
  let next = 0;
  const waiting = new Map<number, { reply(text: string): void; fail(error: Error): void }>();

  const fail = (error: GraderError) => {
    const [ended] = [child];
    child = undefined; // the next call starts another
    ended?.kill('SIGKILL');
    for (const { fail } of waiting.values()) fail(error);
    waiting.clear();
  };
  const start = (): ChildProcessWithoutNullStreams => {
    const permission = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const flags = [
      permission,
      '--no-warnings',
      `--max-old-space-size=${memory}`,
      '--disallow-code-generation-from-strings',
    ];
    const started = spawn(process.execPath, [...flags, '-e', programOf(time)], { env: {}, stdio: 'pipe' });
    printed = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-10_000);
    });
    started.stdin.on('error', () => {}); // the process has ended: its close event says why
    const ended = (why: string) => {
      if (child === started) fail(new GraderError('python_grader_server_error', why));
    };
    started.once('error', ({ message }) => ended(`The grader's process cannot start: ${message}`));
    started.once('close', () =>
      ended(
        /out of memory/i.test(printed)
          ? `The grader takes more than ${memory} MiB of memory.`
          : `The grader's process ended: ${printed.trim().slice(-300) || 'it printed nothing'}`,
      ),
    );
    createInterface({ input: started.stdout }).on('line', (line) => {
      const { id, reply } = JSON.parse(line) as { id: number; reply: string };
      const call = waiting.get(id);
      waiting.delete(id);
      call?.reply(reply);
    });
    started.stdin.write(`${JSON.stringify({ source })}\n`);
    return started;
  };

  return {
    async grade({ sample, item }) {
      child ??= start();
      const id = next++;
      const { stdin } = child;
      const timer = setTimeout(
        () => fail(new GraderError('unresponsive_reward_error', `The grader took more than ${patience / 1000} s.`)),
        patience,
      );
      try {
        const reply = await new Promise<string>((resolve, reject) => {
          waiting.set(id, { reply: resolve, fail: reject });
          stdin.write(`${JSON.stringify({ id, graded: JSON.stringify([sample, item ?? null]) })}\n`);
        });
        return numberIn(reply);
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.dispose]() {
      fail(new GraderError('other_error', 'The grader was closed.'));
    },
  };
}

function numberIn(reply: string): number {
  const [, type, text] = /^(\w+):([\s\S]*)$/.exec(reply)!;
  const value = type === 'number' ? Number(text) : Number.NaN;
  if (Number.isFinite(value)) return value;
  throw new GraderError(
    'python_grader_runtime_error',
    type === 'error'
      ? `The grader throws: ${text}`
      : `grade(sample, item) has to return a finite number, got ${type === 'number' ? text : type}.`,
    { hint: 'For example: function grade(sample, item) { return sample.output_text === item.answer ? 1 : 0; }' },
  );
}
