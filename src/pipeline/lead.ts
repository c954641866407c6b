/** The first sentences of a pipeline's report: what was taught, by whom, and what changed. */
import type { CompletionsRow } from './completions.ts';
import { lessonsOf, type TeachingStage } from './lessons.ts';
import { type BegunStage, changesOf, fixed, type MeasuredChange, mainChange, nameOf, solvedAt } from './measures.ts';
import type { Recipe } from './recipe.ts';

/** Two sentences, from what the stages' folders hold. */
export function leadOf({ stages }: Recipe, begun: readonly BegunStage[], completions?: CompletionsRow): string {
  const lessons = lessonsOf(
    stages.filter(({ name }) => begun.some(({ stage }) => stage.name === name)),
    begun,
  );
  return `${taught(lessons, begun)} ${changed(lessons, begun, completions)}`;
}

function taught(lessons: readonly TeachingStage[], begun: readonly BegunStage[]): string {
  if (lessons.length === 0) {
    const commands = [...new Set(begun.map(({ stage }) => `heed ${stage.command}`))];
    return commands.length > 0 ? `This pipeline ran ${listed(commands)}.` : 'Nothing has begun yet.';
  }
  const models = lessons.filter(({ teaches }) => !isAgent(teaches));
  const agents = lessons.filter(({ teaches }) => isAgent(teaches));
  const learned = (learner: string, own: readonly TeachingStage[]): [string, string][] => {
    const sources = [...new Set(own.flatMap(({ source }) => source?.words ?? []))];
    return sources.length > 0 ? [[learner, listed(sources)]] : [];
  };
  const isRewardOnly = models.every(({ teaches }) => teaches === 'reward model');
  const all = [
    ...agents.flatMap((agent) => learned(agent.learner, [agent])),
    ...learned(isRewardOnly ? 'a reward model' : 'a language model', models),
  ];
  return sentence(all.map(([who, what], i) => `${who} ${i === 0 ? 'learned from' : 'from'} ${what}`).join('; '));
}

const isAgent = (teaches: TeachingStage['teaches']): boolean => teaches.endsWith('agent');

function changed(
  lessons: readonly TeachingStage[],
  begun: readonly BegunStage[],
  completions?: CompletionsRow,
): string {
  const agents = lessons.filter(({ teaches }) => isAgent(teaches));
  const changes = [
    ...agents.flatMap(({ stage }) => ofAgent(stage.name, begun, agents.length > 1)),
    ...ofModels(lessons, begun, completions),
    ...begun.flatMap(ofEvaluation),
  ];
  return changes.length > 0 ? sentence(changes.join('; ')) : 'Nothing has been measured yet.';
}

function ofAgent(name: string, begun: readonly BegunStage[], isOneOfMany: boolean): string[] {
  const agent = begun.find(({ stage }) => stage.name === name)!;
  const change = changesOf(agent).find((one) => one.name === 'return');
  if (!change) return [];
  const solved = solvedAt(agent);
  const whose = isOneOfMany ? `the return of “${name}”` : 'the agent’s return';
  return [`${went(whose, change)}${solved ? ` (${solved})` : ''}`];
}

/** What changed about the language models: by the same prompts for all of them, else by the last one's own measure. */
function ofModels(
  lessons: readonly TeachingStage[],
  begun: readonly BegunStage[],
  completions?: CompletionsRow,
): string[] {
  const judged = completions?.models.filter(({ reward }) => reward) ?? [];
  if (judged.length > 1) {
    const [from, to] = [judged[0], judged.at(-1)!].map(({ reward }) => reward!.mean);
    return [went('the true reward of the language model’s completions', { from, to, format: fixed })];
  }
  const models = lessons.filter(({ teaches }) => !isAgent(teaches));
  const policies = models.filter(({ teaches }) => teaches !== 'reward model');
  const last = (policies.length > 0 ? policies : models).at(-1);
  const found = begun.find(({ stage }) => stage.name === last?.stage.name);
  const change = found && mainChange(found);
  if (!change) return [];
  const whose = policies.length > 0 ? 'the language model’s' : 'the reward model’s';
  const of = change.of === undefined ? '' : ` ${change.of}`;
  return [`${went(`${whose} ${change.name}`, change)}${of}`];
}

function ofEvaluation(begun: BegunStage): string[] {
  const { stage } = begun;
  const change = changesOf(begun).find(({ name }) => name === 'win rate');
  if (!change) return [];
  const [model, baseline] = [stage.settings.model, stage.settings.baseline].map(nameOf);
  return [`“${model}” is preferred to “${baseline}” on ${change.format(change.to)} of the prompts (ties count half)`];
}

/** "the return rose from 66.3 to 499.9" */
function went(what: string, { from, to, format }: Pick<MeasuredChange, 'from' | 'to' | 'format'>): string {
  if (from === undefined) return `${what} is ${format(to)}`;
  if (format(from) === format(to)) return `${what} stayed at ${format(to)}`;
  return `${what} ${to > from ? 'rose' : 'fell'} from ${format(from)} to ${format(to)}`;
}

const listed = (parts: readonly string[]): string =>
  parts.length < 3 ? parts.join(' and ') : `${parts.slice(0, -1).join(', ')}, and ${parts.at(-1)}`;

const sentence = (text: string): string => `${text[0].toUpperCase()}${text.slice(1)}.`;
