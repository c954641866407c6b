/**
 * Help on one screen: the sentence, three examples and the flags that people set. `--help all` has every flag, in the
 * groups that commander makes.
 */
import { type Command, Help, type Option } from 'commander';
import { valueAt } from '../../options.ts';
import { typedName } from './unknown-flag.ts';

/** The flags that people set, by command, in the order in which help lists them; other commands show all of theirs. */
const screens: readonly [commands: string, flags: string][] = [
  [
    'train',
    `env teacher judge labels steps algorithm ensemble query segment.window ppo.learning-rate reward.learning-rate
    random-steps evaluations episodes seed out resume more comparisons goal port workers device config json`,
  ],
  [
    'rl',
    `env algorithm policy reward steps seed evaluations episodes ppo.learning-rate ppo.environments ppo.horizon ppo.minibatch ppo.epochs
    ppo.discount ppo.entropy-coefficient ppo.normalize-observations ppo.hidden sac.learning-rate sac.hidden out resume
    workers device config json`,
  ],
  [
    'learn-reward',
    `env actions reward.members reward.hidden reward.activation reward.learning-rate reward.weight-decay reward.minibatch
    reward.steps reward.dropout reward.validation choice.kind choice.error-rate choice.discount seed out python device
    config json`,
  ],
  [
    'sweep, ablate',
    `env vary grid only labels seeds target share jobs teacher judge steps algorithm ensemble segment.window
    ppo.learning-rate reward.members evaluations episodes seed out resume on device config json`,
  ],
  [
    'sft, distill, pretrain',
    `model teacher data texts divergence beta on-policy vocabulary hidden layers heads tokens loss epochs steps length
    packing rows accumulate learning-rate schedule warmup lora.rank evaluation.data seed out resume device config json`,
  ],
  [
    'reward, process',
    `model data teacher comparisons from-project loss supervision members epochs batch accumulate length truncate
    learning-rate schedule warmup lora.rank evaluation.data evaluation.share on-bad-row seed out resume device config json`,
  ],
  [
    'dpo, orpo, cpo, kto, bco',
    `model data reference loss beta gamma label-smoothing epochs steps batch part length learning-rate schedule warmup
    max-kl lora.rank evaluation.data on-bad-row seed out resume precision device config json`,
  ],
  [
    'ppo',
    `model reward data env reference steps batch rows max-tokens temperature learning-rate kl.beta kl.target max-kl
    ppo.epochs critic.kind lora.rank ask-people evaluation.data seed out resume device config json`,
  ],
  [
    'grpo, rloo, reinforce, raft, rest, online-dpo',
    `model reward data env agent judge loss completions thresholds baseline beta steps batch rows epochs max-tokens temperature
    learning-rate max-kl lora.rank ask-people evaluation.data seed out resume device config json`,
  ],
  [
    'pareto, overoptimization',
    `model reward against weights guards gold data steps batch rows completions max-tokens temperature learning-rate beta
    max-kl lora.rank best-of.completions evaluation.data seed out resume precision device config json`,
  ],
  [
    'best-of-n, constitution, policy',
    `model baseline reward judge critic constitution part data prompts completions rounds gold batch max-tokens temperature
    on-bad-row chat-template judge-call.key call.key seed out resume precision device log config json`,
  ],
  [
    'plan',
    `model params algorithm method rows length max-tokens lora.rank dtype device cluster price batch steps sharding offload
    tensor-parallel engines.devices checkpoint-layers reward critic.kind config json`,
  ],
  [
    'generate, chat',
    `model prompt data chat system stop max-tokens temperature top-p top-k min-p repetition-penalty draft lookup bits batch
    chat-template precision seed device config json`,
  ],
  [
    'serve',
    `model folder host port hosts allow-origin store runs batch max-tokens queue per-minute concurrency model-memory
    precision draft tinker feedback learn upstream upstream-key log-format device config json`,
  ],
  [
    'studio',
    `store runs host port hosts trust-proxy owner model max-tokens drain oidc-issuer oidc-client oidc-roles
    oidc-default-role oidc-only session-hours log-format device config json`,
  ],
  [
    'import',
    `project kind store overlap certainty gold practice-items guidelines template judgments-of from dry-run prompt options
    labels goal language reason aspects see-others spans better on-bad-row config json`,
  ],
];

/** The most flags on one screen; a command with no more shows all of them. */
export const MOST_FLAGS = 25;
/** Longer terms stand on a line of their own. */
const WIDEST_TERM = 30;
/** A description beside its term has at least so many columns. */
const NARROWEST = 30;
/** Narrower screens scroll anyway: there, descriptions are wrapped, not cut. */
const CUTTING = 60;

interface Guide {
  /** What stands below the flags of `--help all`. */
  about: string;
  /** Commands to try. */
  examples: readonly string[];
}

const guides = new WeakMap<Command, Guide>();

/** Splits a command's text into what it says and its examples, and shows them in its help and in that of its parts. */
export function addGuide(command: Command, text: string): void {
  const [about, lines = ''] = text.split(/^Examples?:\n/m);
  const examples = lines.split('\n').flatMap((line) => line.trim() || []);
  const add = (one: Command) => {
    const path = `${typedName(one)} `;
    guides.set(one, {
      about: one === command ? about.trim().replace(/(?<![.:])\n/g, ' ') : '',
      examples: examples.filter((line) => `${line} `.includes(path)),
    });
    one.commands.forEach(add);
  };
  add(command);
}

/** The settings that a command would have with the flags that were typed, if they depend on one of them. */
type SettingsBy = (options: Record<string, unknown>) => Promise<{ of: string; settings: object } | undefined>;

const settingsBy = new WeakMap<Command, SettingsBy>();

/** Lets the help of a command show the defaults of what its flags name, such as those of `--env`. */
export const showDefaultsBy = (command: Command, settings: SettingsBy): void => void settingsBy.set(command, settings);

/** Puts the defaults of what the typed flags name into the texts of a command's flags. */
export async function fillDefaults(command: Command, args: readonly string[]): Promise<void> {
  const settingsOf = settingsBy.get(command);
  if (!settingsOf) return;
  command.parseOptions([...args]);
  const found = await settingsOf(command.opts());
  if (!found) return;
  for (const option of command.options) {
    const value = valueAt(found.settings, option.attributeName().split('.'));
    const [, text, last] = DEFAULT.exec(option.description)!;
    const shown = ` (default: ${value}`; // numbers of a list have commas between
    const isPlain = value !== undefined && (typeof value !== 'object' || Array.isArray(value));
    if (isPlain && last !== `${shown})`) option.description = `${text}${shown})`;
  }
  defaultsOf.set(command, found.of);
}

/** Whose defaults a command's help shows, such as an environment's. */
const defaultsOf = new WeakMap<Command, string>();

/** What commander's `configureHelp` takes. `all`: whether every flag is asked for. */
export const helpFormat = (all: boolean) => ({
  minWidthToWrap: 1,
  formatHelp: (command: Command, helper: Help) =>
    command.parent ? help(command, helper, all) : overview(command, helper),
  optionDescription: flagText,
  subcommandTerm: (command: Command) => inFlags(Help.prototype.subcommandTerm(command)),
  commandUsage: (command: Command) => inFlags(Help.prototype.commandUsage(command)),
  padWidth: (command: Command, helper: Help) =>
    Math.min(WIDEST_TERM, Help.prototype.padWidth.call(helper, command, helper)),
  formatItem: (term: string, termWidth: number, description: string, helper: Help) =>
    item(term, description, termWidth, widthOf(helper)),
});

const inFlags = (text: string) => text.replace('[options]', '[flags]');

/** What a flag means, with its choices and its default. */
export function flagText({ flags, description, argChoices, defaultValue }: Option): string {
  const [, text, last = ''] = DEFAULT.exec(description)!;
  const choices = argChoices && !flags.includes(argChoices.join('|')) ? `: ${argChoices.join(', ')}` : '';
  return `${text}${choices}${last || (defaultValue === undefined ? '' : ` (default: ${defaultValue})`)}`;
}

/** A description and the default at its end. */
const DEFAULT = /^(.*?)( \(default: (?:[^()]|\([^()]*\))*\))?$/s;

const widthOf = (helper: Help) => helper.helpWidth ?? 80;

/** The flags that a screen shows: all if they fit, else those that people set. */
export function shownFlags(command: Command, helper: Help): readonly Option[] {
  const visible = helper.visibleOptions(command).filter(({ long }) => long !== '--help');
  const screen = screens.find(([commands]) => commands.split(', ').includes(command.name()));
  if (visible.length <= MOST_FLAGS || !screen) return visible;
  return screen[1].split(/\s+/).flatMap((name) => visible.find(({ long }) => long === `--${name}`) ?? []);
}

function help(command: Command, helper: Help, all: boolean): string {
  const width = widthOf(helper);
  const { about, examples } = guides.get(command) ?? { about: '', examples: [] };
  const visible = helper.visibleOptions(command).length - 1; // --help is none of them
  const shown = shownFlags(command, helper);
  const source = defaultsOf.get(command);
  const count = shown.length < visible ? ` (${shown.length} of ${visible})` : '';
  const title = `Flags${count}${source === undefined ? '' : `, with the defaults in ${source}`}:`;
  const tries = (some: readonly string[]) =>
    some.length > 0
      ? [`${some.length > 1 ? 'Examples' : 'Example'}:`, ...some.map((line) => wrapCommand(line, width)), '']
      : [];
  if (all) {
    const text = Help.prototype.formatHelp.call(helper, command, helper);
    return [
      text,
      ...(source === undefined ? [] : [`The defaults are those in ${source}.`, '']),
      ...(about ? [wrap(about, width), ''] : []),
      ...tries(examples),
    ].join('\n');
  }
  const term = (name: string) => Math.min(WIDEST_TERM, name.length);
  const options = shown.map((option) => [helper.optionTerm(option), helper.optionDescription(option)]);
  const inner = helper.visibleCommands(command).filter((one) => one.name() !== 'help');
  const parts = inner.map((one) => [helper.subcommandTerm(one), helper.subcommandDescription(one)]);
  const values = helper
    .visibleArguments(command)
    .map((one) => [helper.argumentTerm(one), helper.argumentDescription(one)]);
  const column = Math.max(0, ...[...options, ...parts, ...values].map(([name]) => term(name)));
  const list = (title: string, rows: readonly string[][], short = false) =>
    rows.length === 0
      ? []
      : [title, ...rows.map(([name, text]) => (short ? cutItem : item)(name, text, column, width)), ''];
  return [
    wrap(`Usage: ${helper.commandUsage(command)}`, width, 2),
    '',
    wrap(sentence(helper.commandDescription(command)), width),
    '',
    ...tries(examples.slice(0, 3)),
    ...list('Arguments:', values),
    ...list('Commands:', parts),
    ...list(title, options, true),
    wrap(more(command, shown.length < visible, visible, inner.length > 0), width),
    '',
  ].join('\n');
}

/** What the last line of a screen points to. */
function more(command: Command, isCut: boolean, count: number, hasParts: boolean): string {
  const path = typedName(command);
  if (hasParts) return `More: ${path} COMMAND --help, and ${path} --help all`;
  return `More: ${path} --help all (${isCut ? `all ${count} flags` : 'texts in full'})`;
}

/** What to type first. */
const first = [
  ['heed train --env CartPole-v1 --labels 10', 'an agent, from ten comparisons'],
  ['heed sft', 'a tiny language model'],
  ['heed pipeline', 'both, with one report'],
  ['heed studio', 'the page where people judge'],
  ['heed init', 'begin a task of your own'],
] as const;
const WIDEST_BEGIN = Math.max(...first.map(([command]) => command.length));

/** The commands of heed, in groups. */
function overview(program: Command, helper: Help): string {
  const width = widthOf(helper);
  const visible = helper.visibleCommands(program);
  const column = Math.max(...visible.map((command) => command.name().length));
  const groups = helper.groupItems([...program.commands], visible, (command) => command.helpGroup() || 'The rest:');
  return [
    'Usage: heed COMMAND [flags]',
    '',
    program.description(),
    '',
    'To begin:',
    ...first.map(([command, purpose]) => item(command, purpose, WIDEST_BEGIN, width)),
    '',
    ...[...groups].flatMap(([title, commands]) => [
      title,
      ...commands.map((command) => item(command.name(), helper.subcommandDescription(command), column, width)),
      '',
    ]),
    wrap('heed COMMAND --help: what a command takes, with examples. heed --version: the version.', width),
    '',
  ].join('\n');
}

const sentence = (text: string) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** A term and its description, wrapped at words: beside it, or below it where there is no room. */
export function item(term: string, description: string, termWidth: number, width: number): string {
  if (!description) return `  ${term}`;
  const beside = term.length <= termWidth && width - termWidth - 4 >= NARROWEST;
  const indent = ' '.repeat(width - termWidth - 4 >= NARROWEST ? termWidth + 4 : 6);
  const text = wrap(description, width - indent.length).replaceAll('\n', `\n${indent}`);
  return beside ? `  ${term.padEnd(termWidth)}  ${text}` : `  ${term}\n${indent}${text}`;
}

/** As `item`, on one line: a longer description ends with "…", but keeps its default. */
export function cutItem(term: string, description: string, termWidth: number, width: number): string {
  const room = width - termWidth - 4;
  if (width < CUTTING || room < NARROWEST || description.length <= room)
    return item(term, description, termWidth, width);
  const [, text, last = ''] = DEFAULT.exec(description)!;
  const kept = last.length <= room / 2 ? last : '';
  const short = text.length + kept.length <= room && kept === last ? text : cut(text, room - kept.length);
  return item(term, short + kept, termWidth, width);
}

/** As many of a text's words as fit before "…". */
function cut(text: string, room: number): string {
  const words = `${text} `.slice(0, room - 1).replace(/\s+\S*$/, '');
  return `${words.replace(/[\s,;:.(]+$/, '')} …`;
}

/** Wraps each line at words; a word longer than a line stands alone. */
export function wrap(text: string, width: number, indent = 0): string {
  const lines = text.split('\n').map((whole) => {
    const [first, ...others] = whole.split(' ');
    const rows = [first];
    for (const word of others) {
      const longer = `${rows.at(-1)} ${word}`;
      if (longer.length <= width) rows[rows.length - 1] = longer;
      else rows.push(`${' '.repeat(indent)}${word}`);
    }
    return rows.join('\n');
  });
  return lines.join('\n');
}

/** A command line, continued by backslashes where it is longer than the screen. */
export function wrapCommand(command: string, width: number): string {
  if (command.length + 2 <= width) return `  ${command}`;
  const words = command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)!;
  const rows = [`  ${words[0]}`];
  for (const [i, word] of words.slice(1).entries()) {
    const longer = `${rows.at(-1)} ${word}`;
    const isLast = i === words.length - 2;
    if (longer.length + (isLast ? 0 : 2) <= width) rows[rows.length - 1] = longer;
    else rows.push(`    ${word}`);
  }
  return rows.join(' \\\n');
}
