/** The tables of docs/reference/trainers-settings.md, from the tables of the code. */
import { type TrainerCommand, type TrainerName, trainerNames } from '../../src/cluster/trainers/trainer.ts';
import { trainers } from '../../src/cluster/trainers/translate.ts';

const titles = { trl: 'TRL', openrlhf: 'OpenRLHF', verl: 'verl' } as const;
const commands: readonly TrainerCommand[] = ['sft', 'reward', 'dpo', 'kto', 'grpo', 'ppo'];
const changes = { 'share of others': '1 − ', exp: 'exp of ', product: '', same: '' } as const;

const cell = (text: string) => text.replaceAll('|', '\\|');
const table = (rows: readonly (readonly string[])[]) =>
  [rows[0], rows[0].map(() => '---'), ...rows.slice(1)].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

/** A Markdown table of settings and one of metrics for each of heed's commands that a trainer can do. */
export function trainerTables(): string {
  return commands
    .map((command) => {
      const having = trainerNames.filter((name) => trainers[name].tasks[command]);
      const head = having.map((name) => titles[name]);
      return [
        `## ${command}`,
        table([['heed', ...head, 'what differs'], ...settingRows(command, having)]),
        table([['metric', ...head, 'what differs'], ...metricRows(command, having)]),
      ].join('\n\n');
    })
    .join('\n\n')
    .concat('\n');
}

/** What differs at each trainer, or at all of them. */
const together = (having: readonly TrainerName[], textOf: (name: TrainerName) => string | undefined) => {
  const said = having.map((name) => textOf(name));
  if (said.every((text) => text === said[0])) return said[0] ?? '';
  return having.flatMap((name, i) => (said[i] ? [`${titles[name]}: ${said[i]}`] : [])).join('. ');
};

function settingRows(command: TrainerCommand, having: readonly TrainerName[]): string[][] {
  const settingsOf = (name: TrainerName) => trainers[name].tasks[command]!.settings;
  const paths = [...new Set(having.flatMap((name) => Object.keys(settingsOf(name))))];
  return paths.map((path) => [
    `\`${path}\``,
    ...having.map((name) => {
      const theirs = settingsOf(name)[path]?.theirs;
      if (theirs === undefined) return 'refused';
      if (theirs === 'heed' || theirs === '–') return theirs;
      return theirs
        .split(', ')
        .map((one) => `\`${one}\``)
        .join(', ');
    }),
    together(having, (name) => settingsOf(name)[path]?.differs),
  ]);
}

function metricRows(command: TrainerCommand, having: readonly TrainerName[]): string[][] {
  const metricOf = (name: TrainerName, ours: string) =>
    trainers[name].tasks[command]!.metrics.find((metric) => metric.ours === ours);
  const names = [...new Set(having.flatMap((name) => trainers[name].tasks[command]!.metrics.map(({ ours }) => ours)))];
  return names.map((ours) => [
    `\`${ours}\``,
    ...having.map((name) => {
      const found = metricOf(name, ours);
      if (!found) return '';
      return changes[found.change ?? 'same'] + found.theirs.map((one) => `\`${one}\``).join(' × ');
    }),
    together(having, (name) => metricOf(name, ours)?.differs),
  ]);
}
