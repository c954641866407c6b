/**
 * heed and the programs of its pages on every Node that it supports, and on Deno and Bun. Each Node reads all programs; those
 * that need nothing of the reader's run whole on one Node each, in turn.
 */
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import { runProgram } from './support/example.ts';
import { heedPath, ownFolder } from './support/heed.ts';
import { blocks, examples, type Program, withoutTypes } from './support/programs.ts';
import { NODES, notInstalled, type RuntimeName, runtime } from './support/runtimes.ts';

const execute = promisify(execFile);
const folder = ownFolder();
const { exports, version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const entries = Object.keys(exports)
  .filter((name) => name !== '.' && name !== './package.json')
  .map((name) => name.replace('.', 'heed'));

const env = { ...process.env, HEED_THREADS: '1' };

/** What is wrong with programs, and with the entry points of the package, as a Node sees them. */
async function link(node: string, name: string, programs: readonly Program[]): Promise<string[]> {
  const list = join(folder.path, `${name}.json`);
  const places = programs.map((program) => ({
    ...program,
    place: program.place.startsWith('examples/') ? join(inject('compiled'), program.place) : program.place,
    withoutTypes: withoutTypes(program),
  }));
  writeFileSync(list, JSON.stringify(places));
  const linker = join(inject('compiled'), 'link.js'); // inside the package its own name leads to its exports
  cpSync(fileURLToPath(new URL('support/link.js', import.meta.url)), linker);
  const { stdout } = await execute(node, ['--experimental-vm-modules', '--no-warnings', linker, list, ...entries]);
  return JSON.parse(stdout);
}

describe.each(NODES)('on %s', (name) => {
  it('all entry points load, every program of the pages can be read, and what is wrong with others is found', async (context) => {
    const node = runtime(name);
    if (!node) return context.skip(notInstalled(name));
    // syntax that this Node lacks, and a name that heed does not export: one process, which has to load heed, tries all
    const wrong: Program[] = [
      { place: 'syntax', language: 'ts', code: 'using nothing: null = null;', runs: false },
      { place: 'name', language: 'js', code: "import { noSuchVerb } from 'heed/align';", runs: false },
    ];
    const found = await link(node, name, [...blocks, ...examples, ...wrong]);
    const syntax = name === 'node-24' ? [] : [expect.stringContaining('syntax: ')];
    expect(found).toEqual([...syntax, expect.stringContaining('noSuchVerb')]);
  });

  it('the command tells its version, checks the machine, and trains', async (context) => {
    const node = runtime(name);
    if (!node) return context.skip(notInstalled(name));
    const heed = (...args: string[]) => execute(node, [heedPath(), ...args], { cwd: folder.path, env });
    expect((await heed('--version')).stdout).toBe(`${version}\n`);
    expect((await heed('doctor')).stdout).toContain(`ok    node     ${name.split('-')[1]}.`);
    const few = ['--steps', '5', '--json', '--out'];
    const learned = await heed('sft', '--demonstrations', '20', '--samples.count', '0', ...few, `${name}-sft`);
    expect(JSON.parse(learned.stdout)).toMatchObject({ loss: { train: expect.any(Number) } });
    const fits = ['--reward.first-steps', '4', '--reward.steps', '4'];
    const taught = await heed('train', '--episodes', '1', ...fits, ...few, `${name}-train`);
    expect(JSON.parse(taught.stdout)).toMatchObject({ steps: expect.any(Number), labels: expect.any(Number) });
  });
});

// what docs/reference/library.md says of them
describe.each<[RuntimeName, string[]]>([
  ['deno', ['run', '--allow-all']],
  ['bun', ['run']],
])('on %s', (name, args) => {
  it('agents and models learn, and judgments are stored', async (context) => {
    const program = runtime(name);
    if (!program) return context.skip(notInstalled(name));
    const path = join(inject('compiled'), `${name}.mjs`);
    writeFileSync(
      path,
      `import { sft } from 'heed/align';
      import { learnFromPreferences } from 'heed/control';
      import { createProject, openDatabase } from 'heed/feedback';
      const store = await openDatabase('${name}.db');
      await createProject(store, 'haiku');
      await store.close();
      const data = ['a', 'b', 'c', 'd'].map((prompt) => ({ prompt, completion: prompt }));
      const { steps } = await sft({ data, steps: 2, evaluations: 0, evaluation: { share: 0 }, samples: { count: 0 } });
      const { policy } = await learnFromPreferences({ env: 'CartPole-v1', labels: 2, steps: 600, episodes: 1 });
      console.log(steps, policy.act([0, 0, 0.05, 0]));`,
    );
    const { stdout } = await execute(program, [...args, path], { cwd: folder.path, env });
    expect(stdout).toMatch(/^2 [01]\n$/);
  });
});

const whole = blocks.filter(({ runs }) => runs);

/** Programs that train for longer than all others together. */
const long = [
  'docs/tutorials/first-language-model.md',
  'docs/reference/preferences.md',
  'docs/reference/library.md:137',
];

for (const [i, block] of whole.entries()) {
  const tags = long.some((place) => block.place.startsWith(place)) ? ['proof'] : [];
  it(`${block.place} runs as written`, { tags }, () => runProgram(block, i));
}

it('the long programs are among those of the pages', () => {
  for (const place of long)
    expect(
      whole.some((block) => block.place.startsWith(place)),
      place,
    ).toBe(true);
});
