import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { heedError } from '../../../test/support/gradients.ts';
import { ownStores } from '../../../test/support/stores.ts';
import { smallModel } from '../../../test/support/training.ts';
import { improveModel, improvementReport } from './improve.ts';

const tiny = smallModel();
const { folder } = await ownStores();

/** What Open WebUI exports of thumbs: everybody likes one color. */
function feedbacks(people: number): object[] {
  return Array.from({ length: people }, (_, i) => {
    const good = i % 2 === 0;
    const message = (id: string, parentId: string | null, role: string, content: string) => ({
      id,
      parentId,
      childrenIds: [],
      role,
      content,
    });
    const messages = {
      a: message('a', null, 'user', `Color ${i % 7}?`),
      b: message('b', 'a', 'assistant', good ? 'blue' : 'red'),
    };
    return {
      id: `f${i}`,
      user_id: `user ${i}`,
      type: 'rating',
      data: { rating: good ? 1 : -1, model_id: 'tiny', reason: '', comment: '' },
      meta: { chat_id: `c${i}`, message_id: 'b' },
      snapshot: { chat: { chat: { history: { currentId: 'b', messages } } } },
      updated_at: 1760000000,
    };
  });
}

it('improves a model from thumbs, measures it by held-out people, and goes on where it stopped', async () => {
  const file = join(folder, 'feedbacks.json');
  const lost = { ...feedbacks(1)[0], id: 'lost', snapshot: null };
  writeFileSync(file, JSON.stringify([...feedbacks(120), lost]));
  const notices: string[] = [];
  const input = {
    model: tiny,
    feedback: file,
    from: 'open-webui' as const,
    out: join(folder, 'better'),
    policy: {
      heldOut: 0.4,
      training: { learningRate: 3e-3, epochs: 8, batch: 8 },
      gate: { maxKl: 100, prompts: 4, maxTokens: 8 },
    },
  };
  const improvement = await improveModel({ ...input, onNotice: (text) => notices.push(text) });
  expect(notices).toContainEqual(expect.stringMatching(/^120 judgments of kind binary were read/));
  expect(notices).toContainEqual(expect.stringMatching(/^Left out: 1 of 121 records/));
  expect(improvement).toMatchObject({ method: 'kto', heldOutBy: 'people', judgments: { people: 120, chosen: 0 } });
  const { judgments, gate, examples } = improvement;
  expect(judgments.rated + judgments.heldOut).toBe(120);
  expect(gate.agreement.share).toBeGreaterThan(0.9);
  expect(examples.length).toBeGreaterThan(3);
  const report = improvementReport('tiny', improvement);
  expect(report).toContain(`Trained by kto from ${judgments.rated} ratings`);
  expect(report).toContain('Color ');
  const model = readFileSync(join(improvement.model, 'model.safetensors'));
  expect(await improveModel(input)).toEqual(improvement);
  expect(readFileSync(join(improvement.model, 'model.safetensors'))).toEqual(model);
});

it('says what is missing', async () => {
  const out = join(folder, 'none');
  await expect(improveModel({ model: tiny, out })).rejects.toThrow(heedError(/feedback is missing/, /store/));
  await expect(improveModel({ model: tiny, out, store: ':memory:', project: 'thumbs' })).rejects.toThrow(
    heedError(/no project "thumbs"/, /none/),
  );
});
