/**
 * A whole RL loop for language on heed's primitives: a generator, a packed program for the loss, and an optimizer.
 * It is GRPO (Shao et al. 2024) with a price on distance: write a group of completions of each prompt, score them, and
 * make those likelier that are better than their group.
 *
 * node examples/rl-loop.ts
 */
import { groupAdvantages } from 'heed/align/parts';
import { mul, random, sub, sum } from 'heed/engine';
import { createGenerator, createPackedScorer, createPackedTrainer, encodeChat, loadModel, packedBatch } from 'heed/lm';
import { approximateKl, clippedSurrogate, createOptimizer } from 'heed/nn';

const seed = Number(process.argv[2] ?? 0);
const steps = 12;
const prompts = 8; // of a step
const group = 8; // completions of a prompt
const maxTokens = 32;
const epochs = 2; // updates of a step
const beta = 0.02; // the price of a nat of distance
const epsilon = 0.2; // how far a token's probability may move in a step
const rate = 3e-4;

const places = ['circus', 'library', 'restaurant', 'stadium'];
const praise = /\b(lovely|superb|impressive|great|charming)\b/g;

/** The reward: words of praise, each counted once. It could be a reward model, or a test of the completion. */
const reward = (text: string) => new Set(text.match(praise)).size;

const model = await loadModel();
const reference = await loadModel(); // stays as it is
const { config, parameters, tokenizer, ends } = model;

// Three compiled programs: one writes, one scores for the reference, one has the loss and its gradients.
const generator = createGenerator(config, parameters.values);
const scorer = createPackedScorer(config, reference.parameters.values);
const trainer = createPackedTrainer(config, parameters, ({ logP, perLabel }) => {
  const terms = { logProbs: logP, oldLogProbs: perLabel('old'), advantages: perLabel('advantage') };
  const gain = clippedSurrogate(terms, epsilon).surrogate;
  const distance = approximateKl(sub(perLabel('reference'), logP));
  const mean = (x: typeof logP) => sum(mul(x, perLabel('weight'))); // labels that are padding have weight 0
  return { loss: sub(mul(mean(distance), beta), mean(gain)), distance: mean(distance) };
});
const optimizer = createOptimizer(parameters, trainer.gradients, { kind: 'adam', maxGradientNorm: 1 });

const draw = random(seed, 'prompts');
for (let step = 1; step <= steps; step++) {
  // 1. Write.
  const asked = Array.from({ length: prompts }, () => places[draw.uint32() % places.length]);
  const inputs = asked.flatMap((place) => {
    const content = `please write a short review of the ${place} .`;
    const { ids } = encodeChat(tokenizer, [{ role: 'user', content }], { addGenerationPrompt: true });
    return Array.from({ length: group }, () => ids);
  });
  const completions = await generator.complete(inputs, { tokenizer, ends, maxTokens, batch: 64, seed: draw.uint32() });

  // 2. Score, and compare within each group.
  const rewards = completions.map(({ text }) => reward(text!));
  const advantages = groupAdvantages(rewards, group);

  // 3. Update, from the same completions twice.
  const rows = completions.map(({ ids }, i) => {
    const whole = [...inputs[i], ...ids];
    return [{ ids: whole, learn: whole.map((_, t) => Number(t >= inputs[i].length)) }];
  });
  const batch = packedBatch(rows, Math.max(...rows.map(([{ ids }]) => ids.length)));
  const perLabel = {
    old: completions.flatMap(({ logprobs }) => logprobs),
    reference: await scorer.run(batch),
    advantage: completions.flatMap(({ ids }, i) => ids.map(() => advantages[i])),
    weight: completions.flatMap(({ ids }) => ids.map(() => 1 / batch.labels.length)),
  };
  let distance = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    trainer.reset();
    distance = (await trainer.run(batch, perLabel)).distance.item();
    optimizer.step(rate * Math.min(1, step / 4)); // Adam's first steps would be too large
  }
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  console.log(`step ${step}: reward ${mean.toFixed(2)}, distance ${distance.toFixed(3)}: ${completions[0].text}`);
}
