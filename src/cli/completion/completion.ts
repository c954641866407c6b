/**
 * heed completion: Tab in bash, zsh and fish. The printed script calls `heed complete -- WORDS` whenever Tab is pressed.
 */
import { readdirSync } from 'node:fs';
import { type Command as Completed, RootCommand } from '@bomb.sh/tab';
import { Argument, type Command } from 'commander';
import { environmentIds } from '../../env/open/make.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

/** The library's script for bash uses a function of the package bash-completion, which small systems lack. */
const WITHOUT_PACKAGE = `type _get_comp_words_by_ref > /dev/null 2>&1 || _get_comp_words_by_ref() {
    cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
}
`;

/** A .zshrc that sets up no completion has no compdef, which the library's script calls. */
const WITHOUT_COMPINIT = '(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }\n';

export function addCompletion(command: Command): void {
  command.addArgument(new Argument('<shell>', 'the shell').choices(shells)).action((shell: string) => {
    if (shell === 'bash') process.stdout.write(WITHOUT_PACKAGE);
    if (shell === 'zsh') process.stdout.write(WITHOUT_COMPINIT);
    new RootCommand().setup('heed', 'heed', shell);
  });
}

/** Prints what may stand in place of the last word. Only the command that the first word names has its flags. */
export function completeWords(program: Command, words: string[]): void {
  const root = new RootCommand();
  const add = (command: Command, path: string) => {
    const completed = root.command(path, command.description());
    addOptions(completed, command, words.at(-1) ?? '');
    for (const inner of command.commands) add(inner, `${path} ${inner.name()}`);
  };
  for (const command of program.commands) {
    for (const name of [command.name(), ...command.aliases()]) add(command, name);
  }
  root.parse([...words]);
}

function addOptions(completed: Completed, command: Command, word: string): void {
  const files = () => filesLike(word.slice(word.indexOf('=') + 1));
  for (const option of command.options) {
    if (!option.long || option.hidden) continue;
    const values = valuesOf(option) ?? (TAKES_FILE.test(option.flags) ? files() : []);
    const complete = (one: (value: string, description: string) => void) => {
      for (const value of values) one(value, '');
    };
    const name = option.long.slice(2);
    if (option.required || option.optional) completed.option(name, option.description, complete);
    else completed.option(name, option.description);
  }
  for (const argument of command.registeredArguments) {
    const values = argument.argChoices ?? files();
    const each = (one: (value: string, description: string) => void) => {
      for (const value of values) one(value, '');
    };
    completed.argument(argument.name(), each, argument.variadic);
  }
}

/** Placeholders of values that may be paths. */
const TAKES_FILE = /[<[](text|file|dir|run|path|name|where|folder)\b/;

/** The values that an option takes, if they can be listed. */
function valuesOf({ long, flags, argChoices }: Command['options'][number]): readonly string[] | undefined {
  if (argChoices) return argChoices;
  if (long === '--env') return environmentIds;
  const [, inline] = /[<[]([\w.-]+(?:\|[\w.-]+)+)[>\]]/.exec(flags) ?? [];
  return inline?.split('|');
}

/** The paths that begin with a text; folders end with a slash. */
function filesLike(start: string): string[] {
  const folder = start.slice(0, start.lastIndexOf('/') + 1);
  try {
    return readdirSync(folder || '.', { withFileTypes: true }).map(
      (entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`,
    );
  } catch {
    return []; // no such folder: nothing to offer
  }
}
