/**
 * A language environment that a tiny model learns in a minute: two turns, each rewarded by its share of the letter e.
 * heed grpo --model … --env ./letters.js, or for other trainers: heed env serve ./letters.js
 */
export const tasks = ['bee', 'tree', 'eel', 'sheep'].map((word) => ({ word }));

export default () => {
  let left;
  return {
    reset({ word }) {
      left = 2;
      return [{ role: 'user', content: `Spell ${word}.` }];
    },
    step({ text }) {
      const reward = (text.match(/e/g) ?? []).length / Math.max(1, text.length);
      return --left === 0 ? { reward, done: true } : { reward, messages: [{ role: 'user', content: 'More.' }] };
    },
  };
};
