/** The environment or agent that the options of a training name, with its tasks. */
import { readAnyRows } from '../../data/dataset.ts';
import type { Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { resolveDataset } from '../../lm/hub.ts';
import '../agents/openenv.ts';
import { checkedTasks, type EpisodeTasks } from '../agents/environment.ts';
import { openEpisodeTasks } from '../agents/tasks/named.ts';
import { holdOut } from '../examples/examples.ts';
import { EPISODE_REWARD, weightedIn } from '../rewards/open.ts';
import type { Live } from '../training/input.ts';
import type { EncodedPrompt } from './completion-batches.ts';
import { type PolicyTrainingOptions, policyTrainingSchema } from './options.ts';

/** The name of the environment, if there is one; that of an agent begins with `agent:`. */
const environmentName = ({ env, agent }: PolicyTrainingOptions): string | undefined =>
  agent === undefined ? env : `agent:${agent}`;

/** The environment of the options. @throws HeedError if it cannot be used, or does not fit the other options. */
export async function openTasks(options: PolicyTrainingOptions, live: Live): Promise<EpisodeTasks | undefined> {
  const { agent, env, tasks, evaluation } = options;
  const name = environmentName(options);
  if (name === undefined && tasks === undefined) return undefined;
  const flag = agent === undefined ? '--env' : '--agent';
  const excluded = Object.entries({
    '--env': agent === undefined ? undefined : env,
    '--tasks': name === undefined || live.env !== undefined ? tasks : undefined,
    '--data': options.data,
    '--evaluation.data': tasks === undefined ? evaluation.data : undefined,
    '--evaluation.probes': evaluation.probes,
    '--ask-people': options.askPeople || undefined,
  }).find(([, value]) => value !== undefined);
  if (excluded) {
    const why =
      name === undefined
        ? 'needs an --agent, or an --env that solves them'
        : `does not go together with ${flag}, which has tasks of its own`;
    throw new HeedError(`${excluded[0]} ${why}.`, { hint: `Leave out ${excluded[0]}, or ${flag}.` });
  }
  if (live.env !== undefined) return checkedTasks(live.env as EpisodeTasks);
  const needsReward = weightedIn(rewardName(options)).some(({ text }) => text === EPISODE_REWARD);
  return openEpisodeTasks(name!, { ...(await taskRows(options, live)), needsReward });
}

/** Refuses an agent, whose episodes may be several sequences. @throws HeedError */
export function refuseAgents(environment: EpisodeTasks | undefined, what: string, why: string): void {
  if (!environment || !('player' in environment)) return;
  throw new HeedError(`${what} does not train agents, whose episodes may be several sequences: ${why}.`, {
    hint: 'Use heed grpo, rloo, reinforce or raft.',
  });
}

/** Checks the option `rollouts`. @throws HeedError if episodes cannot run ahead of the policy. */
export function checkAsynchrony({ rollouts, temperature }: PolicyTrainingOptions, environment?: EpisodeTasks): void {
  if (!rollouts || rollouts.staleness === 0) return;
  if (!environment) {
    throw new HeedError('--rollouts.staleness needs an --env or --agent, whose tools are waited for.', {
      hint: 'Leave it out: without an environment, nothing waits.',
    });
  }
  if ('player' in environment && temperature !== 1) {
    throw new HeedError(`--rollouts.staleness with an agent: expected --temperature 1, got ${temperature}.`, {
      hint: "The log-probabilities of an agent's calls are kept at temperature 1. Leave out one of the two.",
    });
  }
}

/** The rows of `tasks`, some of them held out. */
async function taskRows({ tasks, evaluation, seed }: PolicyTrainingOptions, live: Live) {
  if (tasks === undefined) return {};
  const read = async (name: string) => {
    const rows: Row[] = [];
    for await (const row of readAnyRows(await resolveDataset(name, live.pull), name)) rows.push(row);
    return rows;
  };
  const rows = await read(tasks);
  if (evaluation.data !== undefined) {
    return { tasks: { name: tasks, rows }, heldOut: await read(evaluation.data) };
  }
  if (rows.length < 2) return { tasks: { name: tasks, rows } };
  const { rest, held } = holdOut(rows.length, Math.min(evaluation.share, evaluation.count / rows.length), seed);
  return { tasks: { name: tasks, rows: rest.map((i) => rows[i]) }, heldOut: held.map((i) => rows[i]) };
}

/** The tasks of an environment as prompts: the tokens come from each episode. */
export function promptsOfTasks({ tasks, heldOut }: EpisodeTasks, { evaluation }: PolicyTrainingOptions) {
  const prompts = (rows: readonly Row[]) =>
    rows.map((row): EncodedPrompt => ({ ids: [], text: JSON.stringify(row), row }));
  return { prompts: prompts(tasks), evaluationPrompts: prompts(heldOut ?? tasks).slice(0, evaluation.count) };
}

/** The name of the reward: with an environment, that of its episodes, unless another is named. */
export const rewardName = (options: PolicyTrainingOptions): string =>
  environmentName(options) !== undefined && options.reward === policyTrainingSchema.shape.reward.def.defaultValue
    ? EPISODE_REWARD
    : options.reward;
