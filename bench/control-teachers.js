/**
 * The diagnosis, tried on teachers and worlds that its rules were not written for. After `npm run build`, with the number
 * of a draw of the fifty: node bench/control-teachers.js 5
 */
import { learnFromPreferences } from '../dist/control/index.js';
import { random } from '../dist/random.js';
import { cases } from './teachers/cases.js';

const brief = {
  steps: 16_384,
  randomSteps: 1024,
  episodes: 10,
  evaluations: 4,
  segment: { window: 10 },
  reward: { hidden: [16], firstSteps: 150, steps: 50 },
  ppo: { epochs: 8, hidden: [16] },
};

/** What the teacher wants of a step, by a policy or by random play: the mean in each of some episodes. */
function worthOf(makeEnvironment, worth, act) {
  const environment = makeEnvironment();
  const size = environment.observationSpace.low.length;
  const { low, n } = environment.actionSpace;
  const draw = random(7, 'worth');
  const uniform = () => (low ? Array.from(low, () => 2 * draw.uniform() - 1) : [draw.integer(n)]);
  const [observation, next] = [new Float32Array(size), new Float32Array(size)];
  return Array.from({ length: 40 }, (_, episode) => {
    let [total, steps] = [0, 0];
    environment.reset(1000 + episode, observation);
    for (;;) {
      const action = act ? [act(observation)].flat() : uniform();
      const { terminated, truncated } = environment.step(action, next);
      total += worth({ observation, action, next }, terminated);
      steps++;
      observation.set(next);
      if (terminated || truncated) return total / steps;
    }
  });
}

/** By how many standard errors an agent does more of what its teacher wants than random play. */
function improvement(settings, worth, policy) {
  const [after, before] = [worthOf(settings.env, worth, (x) => policy.act(x)), worthOf(settings.env, worth)];
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const error = (values) => mean(values.map((x) => (x - mean(values)) ** 2)) / values.length;
  return (mean(after) - mean(before)) / Math.max(1e-9, Math.sqrt(error(after) + error(before)));
}

/** One training, and whether its diagnosis is right. */
export async function diagnoseCase({ name, settings, codes, warning, worth }, seed) {
  const { policy, reward, diagnosis, metrics } = await learnFromPreferences({
    ...brief,
    ...settings,
    ppo: { ...brief.ppo, ...settings.ppo },
    seed,
    onNotice() {},
  });
  const found = diagnosis.findings.map(({ severity, code }) => `${severity === 'failure' ? '✗' : '!'}${code}`);
  const gain = worth && improvement(settings, worth, policy);
  policy[Symbol.dispose]();
  reward[Symbol.dispose]();
  const named = diagnosis.findings.slice(0, 2).some(({ code }) => codes?.includes(code));
  const right = codes ? named && (warning || !diagnosis.healthy) : diagnosis.healthy;
  return {
    name,
    healthy: !codes,
    counts: gain === undefined || gain > 3 === !codes,
    gain,
    right,
    found,
    measures: diagnosis.measures,
    labels: metrics.labels,
  };
}

/** All fifty of a draw. */
export async function* diagnoseAll(number) {
  for (const [i, one] of cases(number).entries()) yield diagnoseCase(one, 100 * number + i);
}

if (process.argv[1]?.endsWith('control-teachers.js')) {
  const number = Number(process.argv[2] ?? 0);
  const figure = (x) => (Number.isFinite(x) ? x.toPrecision(2) : '–');
  let [right, alarms, healthy, all] = [0, 0, 0, 0];
  for await (const one of diagnoseAll(number)) {
    if (!one.counts)
      console.log(`(does not count: the agent ${one.healthy ? 'did not learn' : 'learned all the same'})`);
    else {
      all++;
      right += one.right;
      healthy += one.healthy;
      alarms += one.healthy && !one.right;
    }
    const { judgments, tested, fitted, foreseen, learnedGain, heldOut, trueGain, against, kl, entropy, entropyFirst } =
      one.measures;
    console.log(
      one.right ? 'right' : 'WRONG',
      one.healthy ? 'healthy' : 'failure',
      one.name,
      one.found.join(' '),
      `| gain ${figure(one.gain)} judgments ${figure(judgments)}/${tested} fitted ${figure(fitted)} foreseen ${figure(foreseen)} learned ${figure(learnedGain)} heldOut ${figure(heldOut)} true ${figure(trueGain)} against ${figure(against)} kl ${figure(kl)} entropy ${figure(entropyFirst)}→${figure(entropy)}`,
    );
  }
  console.log(`${right} of ${all} right; ${alarms} false alarms in ${healthy} healthy trainings`);
}
