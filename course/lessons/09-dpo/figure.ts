/** A policy over four completions on its way from the reference to the best policy for a reward and a price on KL. */
import { chart } from '../../figures/chart.ts';
import { row, sentence, slider } from '../../figures/elements.ts';
import { short, sigmoid } from '../../figures/numbers.ts';

const reference = [0.5, 0.25, 0.15, 0.1];
const rewards = [-0.5, 0, 0.5, 1];
const completions = [0, 1, 2, 3];
const shares = (logits: readonly number[]) => {
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  return logits.map((x) => Math.exp(x) / total);
};

/** The policy after some steps of DPO on all pairs at once. */
function trained(steps: number, beta: number): number[] {
  const logits = reference.map(Math.log);
  for (let step = 0; step < steps; step++) {
    const change = completions.map(() => 0);
    for (const w of completions) {
      for (const l of completions) {
        if (w === l) continue;
        const share = sigmoid(rewards[w] - rewards[l]); // how often w is chosen over l
        const margin = beta * (logits[w] - Math.log(reference[w]) - logits[l] + Math.log(reference[l]));
        change[w] += share * beta * (1 - sigmoid(margin));
        change[l] -= share * beta * (1 - sigmoid(margin));
      }
    }
    for (const i of completions) logits[i] += 0.5 * change[i];
  }
  return shares(logits);
}

export function draw(root: HTMLElement): void {
  const steps = slider('steps of training', { min: 0, max: 60, step: 1, value: 0 }, update);
  const beta = slider('β', { min: 0.2, max: 2, step: 0.1, value: 0.5 }, update);
  row(root, steps.element, beta.element);
  const show = chart(root, {
    x: [0.5, 4.5],
    y: [0, 1],
    ticks: [1, 2, 3, 4],
    xLabel: 'completion, from worst to best',
    yLabel: 'probability',
  });
  const say = sentence(root);

  function update() {
    const policy = trained(steps.value(), beta.value());
    const best = shares(reference.map((p, i) => Math.log(p) + rewards[i] / beta.value()));
    const bars = (numbers: readonly number[], shift: number) =>
      numbers.map((p, i): [number, number] => [i + 1 + shift, p]);
    show('Probabilities of four completions: reference, policy, and the best policy', [
      { name: 'reference', color: 'quiet', kind: 'bars', width: 0.3, points: bars(reference, -0.17) },
      { name: 'policy', color: 'a', kind: 'bars', width: 0.3, points: bars(policy, 0.17) },
      { name: 'best', color: 'b', kind: 'dots', points: bars(best, 0.17) },
    ]);
    const kl = policy.reduce((sum, p, i) => sum + p * Math.log(p / reference[i]), 0);
    const left = policy.reduce((sum, p, i) => sum + Math.abs(p - best[i]), 0) / 2;
    say(
      `After ${steps.value()} steps on pairs alone, the policy is ${short(kl)} nats from the reference, and`,
      `${short(100 * left, 0)} % of its probability is not yet where the best policy has it.`,
      'A smaller β lets it go further.',
    );
  }
  update();
}
