import { spawnSync } from 'node:child_process';
import { Command, Option } from 'commander';
import { expect, it, vi } from 'vitest';
import { addCompletion, completeWords } from './completion.ts';

/** What may stand in place of the last word. */
function completed(...words: string[]): string[] {
  const program = new Command('heed');
  const play = program.command('play').alias('p').description('play with the agent');
  play.option('--learning-rate <n>', 'rate').option('--json', 'as JSON').option('--data <file>', 'rows');
  play.option('--precision <auto|fp32>', 'of products').option('--env <text>', 'environment');
  play.addOption(new Option('--learningRate <n>').hideHelp());
  play.command('chess').description('a game');
  const said: string[] = [];
  const spy = vi.spyOn(console, 'log').mockImplementation((text: string) => void said.push(text.split('\t')[0]));
  completeWords(program, words);
  spy.mockRestore();
  return said.slice(0, -1); // the last line is for the script
}

it('completes commands, their aliases and those below them', () => {
  expect(completed('pl')).toEqual(['play']);
  expect(completed('')).toEqual(['play', 'p']);
  expect(completed('play', 'ch')).toEqual(['chess']);
});

it('completes flags in one spelling, and their values', () => {
  expect(completed('play', '--l')).toEqual(['--learning-rate']);
  expect(completed('p', '--j')).toEqual(['--json']);
  expect(completed('play', '--precision', '')).toEqual(['auto', 'fp32']);
  expect(completed('play', '--env', 'Cart')).toContain('CartPole-v1');
  expect(completed('play', '--learning-rate', '')).toEqual([]);
});

it('completes paths, folder by folder', () => {
  expect(completed('play', '--data', 'package.j')).toEqual(['package.json']);
  expect(completed('play', '--data', 'src/nod')).toEqual(['src/node.ts']);
  expect(completed('play', '--data', 'sr')).toEqual(['src/']);
  expect(completed('play', '--data', 'no-such-folder/x')).toEqual([]);
});

const bash = spawnSync('bash', ['--version']).status === 0;

/** The script that the command prints for a shell. */
async function scriptFor(shell: string): Promise<string> {
  let script = '';
  const take = (text: string) => {
    script += `${text}\n`;
    return true;
  };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(take),
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => take(String(text))),
  ];
  const command = new Command('completion');
  addCompletion(command);
  await command.parseAsync([shell], { from: 'user' });
  for (const spy of spies) spy.mockRestore();
  return script;
}

it.skipIf(!bash)('prints a script that bash reads, without the package bash-completion too (needs bash)', async () => {
  const use = `
heed() { [ "$1 $2 $3 $4" = "complete -- ppo --le" ] && printf -- '--learning-rate\\tthe rate\\n:4\\n'; }
compopt() { :; }
COMP_WORDS=(heed ppo --le) COMP_CWORD=2
__heed_complete
echo "\${COMPREPLY[*]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', (await scriptFor('bash')) + use], { encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: '--learning-rate\n', stderr: '' });
});

const zsh = spawnSync('zsh', ['--version']).status === 0;

it.skipIf(!zsh)('prints a script that zsh reads, in a .zshrc that sets up no completion too (needs zsh)', async () => {
  const script = `${await scriptFor('zsh')}\nprint $_comps[heed]`;
  const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], { encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: '_heed\n', stderr: '' });
});
