/** What a person who typed a flag that there is not may have meant. */
import type { Command, CommanderError } from 'commander';
import { flagFor } from '../../flag-names.ts';
import { nearest } from '../../nearest.ts';
import { peerNames } from './peer-names.ts';
import { UsageError } from './usage.ts';

/** More names than these would be no answer. */
const MOST = 3;

/** The error for a flag that a command does not have; its hint names those that are meant. */
export function unknownFlag(typed: string, command: Command): UsageError {
  const meant = meantFlags(typed, command);
  const all = `${typedName(command)} --help all lists every flag.`;
  return new UsageError(`${typedName(command)} has no flag ${typed}`, {
    hint: meant.length > 0 ? `Did you mean ${meant.map((name) => `--${name}`).join(' or ')}? ${all}` : all,
  });
}

/** The flag that an error of commander is about, if a command does not have it. */
export function strayFlag(error: CommanderError, command: Command, args: readonly string[]): string | undefined {
  if (error.code === 'commander.unknownOption') return /'([^']*)'/.exec(error.message)?.[1];
  if (error.code !== 'commander.missingMandatoryOptionValue') return undefined;
  // a misspelt flag is missing too, and commander says that first
  const isKnown = (flag: string) => command.options.some(({ long, short }) => long === flag || short === flag);
  return args.find((arg) => arg.startsWith('--') && arg.length > 2 && !isKnown(arg.split('=')[0]));
}

/** The flags, without dashes, that a flag as typed may mean: another spelling, a peer's name, or a slip. */
export function meantFlags(typed: string, command: Command): string[] {
  const names = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long.slice(2)] : []));
  const [written] = typed.split('=');
  const name = flagFor(
    written
      .replace(/^-+/, '')
      .replaceAll('_', '-')
      .replace(/^[A-Z]/, (l) => l.toLowerCase()),
  ).slice(2);
  const last = (other: string) => other.slice(other.lastIndexOf('.') + 1);
  const isMain = (other: string) => other.startsWith(`${command.name()}.`);
  const inOrder = (some: string[]) => [...some.filter(isMain), ...some.filter((other) => !isMain(other))];
  const found = [
    () => names.filter((other) => other === name),
    () => (Object.hasOwn(peerNames, name) ? peerNames[name].filter((other) => names.includes(other)) : []),
    () => inOrder(names.filter((other) => last(other) === last(name))),
    () => nearest(name, names),
    () => names.filter((other) => nearest(last(name), names.map(last)).includes(last(other))),
  ];
  for (const search of found) {
    const meant = search();
    if (meant.length > 0) return meant.slice(0, MOST);
  }
  return [];
}

/** A command as it is typed: `heed feedback import`. */
export function typedName(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}
