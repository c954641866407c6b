/** Fine-tunes the tiny model that comes with heed on rows in memory, then writes with it. */
import { sft } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel(); // a folder, a name on the Hub, or this one, which comes along
const prompt = [{ role: 'user', content: 'please write a short review of the restaurant .' }];
const completion = [{ role: 'assistant', content: 'the waiter was lovely . the pasta was scrumptious .' }];
const data = Array.from({ length: 64 }, () => ({ prompt, completion }));

const training = sft({ model, data, steps: 40, evaluations: 4, samples: { count: 0 } });
for await (const { step, loss, evaluation } of training) {
  if (evaluation) console.log(`step ${step}: loss ${loss.toFixed(2)}, held out ${evaluation.loss?.toFixed(2)}`);
}
console.log(await model.generate(prompt, { temperature: 0 }));
