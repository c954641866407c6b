/** Errors name flags as they are typed: each `--flag` in a text of the source is one of some command. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { commands } from '../commands.ts';

const source = new URL('../../', import.meta.url).pathname;

/** Where "--" is no flag of heed: variables of CSS, decrements, options of Node, of the system and of other programs. */
const OTHERS = new RegExp(
  ['(engine|run|studio)/', 'course/check-exercise', 'serve/graders/javascript', 'cluster/trainers/']
    .concat(['align/agents/pairs', 'align/reward-functions/sandbox', 'serve/agents/program', 'lm/gguf/save-adapter'])
    .map((start) => `^${start}`)
    .join('|'),
);

async function flags(): Promise<Set<string>> {
  const names = new Set(['--json', '--verbose', '--help', '--version', '--plugin', '--device']);
  const collect = (command: Command) => {
    for (const { long, hidden } of command.options) if (long && !hidden) names.add(long);
    command.commands.forEach(collect);
  };
  for (const [name, , add] of commands) {
    const command = new Command(name);
    await add(command);
    collect(command);
  }
  return names;
}

/** A flag whose name continues with a value is not looked up. */
const named = (text: string): string[] =>
  [...text.matchAll(/(?<=[\s"'`(])--[a-zA-Z][\w.-]*\w(?![\w.-]*\$\{)/g)].map(([flag]) => flag);

it('finds the flags that a text names', () => {
  expect(named('Give --length 8, or "--evaluation.data" (--on-bad-row skip).')).toEqual([
    ...['--length', '--evaluation.data', '--on-bad-row'],
  ]);
});

it('documents and programs write flags in kebab-case, as help does', () => {
  const root = new URL('../', new URL(`file://${source}`)).pathname;
  const folders = ['docs', 'examples', 'course', 'deploy', 'site'];
  const texts = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(md|js|ts|mjs|json|ya?ml|service|conf)$/.test(file) && !file.includes('node_modules'))
      .map((file) => join(folder, file)),
  );
  const others = /--(outputFile|maxWorkers|typeRoots|noEmit|outDir|noCheck)/; // of Vitest and TypeScript
  const wrong = ['README.md', 'CONTRIBUTING.md', ...texts].flatMap((file) =>
    named(readFileSync(join(root, file), 'utf8'))
      .filter((flag) => /[a-z][A-Z]/.test(flag) && !others.test(flag))
      .map((flag) => `${file}: ${flag}`),
  );
  expect(wrong).toEqual([]);
});

it('no text names a flag that there is not', async () => {
  const existing = await flags();
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' });
  const wrong = files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !OTHERS.test(file))
    .flatMap((file) => named(readFileSync(join(source, file), 'utf8')).map((flag) => `${file}: ${flag}`))
    .filter((place) => !existing.has(place.split(': ')[1]));
  expect(wrong).toEqual([]);
});
