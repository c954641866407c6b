import { checks, fail, near, number } from 'heed/course';

type Exercise = typeof import('./exercise.ts');
type Weights = Readonly<Record<string, number>>;

const pairs: readonly (readonly [chosen: string, rejected: string])[] = [
  ['the waiter was lovely and the soup was hot', 'the waiter was rude and the soup was cold'],
  ['a lovely room with a view', 'a dirty room with a smell'],
  ['the bread was fresh', 'the bread was stale'],
  ['we loved the fresh fish', 'we hated the cold fish'],
  ['friendly people and hot coffee', 'rude people and cold coffee'],
  ['the room was clean', 'the room was dirty'],
];
const heldOut: readonly (readonly [better: string, worse: string])[] = [
  ['the coffee was hot', 'the coffee was cold'],
  ['a clean table and friendly people', 'a dirty table and rude people'],
  ['lovely fresh bread', 'stale bread'],
];

/** The weight of a word after a step. */
function weight(weights: Weights, word: string): number {
  if (typeof weights !== 'object' || weights === null) fail('learn must return the new weights, a record of numbers.');
  return number(weights[word] ?? 0);
}

export default checks<Exercise>({
  'the score of a text': ({ score }) => {
    near(score({ good: 2, food: 0.5 }, 'Good food!'), 2.5, 'With good at 2 and food at 0.5, "Good food!" scores 2.5');
    near(score({ good: 2 }, 'good, good, good'), 6, 'With good at 2, "good, good, good" scores 6');
    near(score({ good: 2 }, 'nobody knows'), 0, 'Unknown words score 0');
    near(score({ good: 2 }, ''), 0, 'A text without words scores 0');
  },
  'one step from nothing': ({ learn }) => {
    const after = learn({}, 'good food', 'bad food', 1);
    near(weight(after, 'good'), 0.5, 'From weights of 0, with a rate of 1, the word of the chosen text gets 0.5');
    near(weight(after, 'bad'), -0.5, 'From weights of 0, with a rate of 1, the word of the rejected text gets −0.5');
    near(weight(after, 'food'), 0, 'A word that both texts contain stays at 0');
    near(weight(learn({}, 'good food', 'bad food', 0.1), 'good'), 0.05, 'A tenth of the rate is a tenth of the step');
  },
  'words that come twice': ({ learn }) => {
    near(weight(learn({}, 'good good', 'bad', 1), 'good'), 1, 'A word that comes twice moves twice as far');
  },
  'what is known already teaches little': ({ learn }) => {
    near(
      weight(learn({ good: 4 }, 'good', 'bad', 1), 'good') - 4,
      0.0179862,
      'Where the model gives 98 % to the choice, the step is 0.018',
    );
    near(
      weight(learn({ bad: 4 }, 'good', 'bad', 1), 'good'),
      0.9820138,
      'Where the model gives 2 % to the choice, the step is 0.982',
    );
  },
  'the old weights stay': ({ learn }) => {
    const old: Weights = Object.freeze({ good: 1 });
    learn(old, 'good', 'bad', 1);
    near(old.good, 1, 'The old weights must stay as they are');
  },
  'six pairs teach the words': ({ learn, score }) => {
    let weights: Weights = {};
    for (let epoch = 0; epoch < 50; epoch++) {
      for (const [chosen, rejected] of pairs) weights = learn(weights, chosen, rejected, 0.3);
    }
    for (const [better, worse] of heldOut) {
      if (number(score(weights, better)) <= number(score(weights, worse))) {
        fail(`After 50 passes over six pairs, "${better}" should score more than "${worse}".`);
      }
    }
  },
});
